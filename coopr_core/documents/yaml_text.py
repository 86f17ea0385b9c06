"""YAML text as JSON values, with the rules of YAML 1.2's core schema and with the line of every key.

PyYAML composes the tree; its own construction is not used, because it reads ``no`` as false and ``12:30`` as 750,
keeps the last of two equal keys silently and knows values JSON does not. A number whose text would be lost remembers it
(``written_numbers``). Aliases are copied where they stand, so the number of values is bounded (a few lines of aliases
can stand for billions).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from coopr_core.documents.paths import path_text
from coopr_core.documents.written_numbers import written
from coopr_core.errors import InvalidInput, Problem

MOST_VALUES = 200_000
"""More values in one file, aliases counted each time they are used, are refused."""

_SUSPICIOUS = 500

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]  # PyYAML's C loader exists only where libyaml does
    """PyYAML's parser with the plain scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own name


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what either version of YAML would read as something else than text; tells floats as JSON does."""

    def represent_float(self, data: float) -> yaml.ScalarNode:
        """Write ``1e+20``, which PyYAML's own would write ``1.0e+20``."""
        return self.represent_scalar(_TAG + "float", json.dumps(data))

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Text; the line ends of other scripts, which PyYAML loses in single quotes, are escaped."""
        style = '"' if any(end in data for end in "\x85\u2028\u2029") else None
        return self.represent_scalar(_TAG + "str", data, style=style)


_Dumper.add_representer(float, _Dumper.represent_float)
_Dumper.add_representer(str, _Dumper.represent_str)


def _plain_scalar(kind: str, pattern: str, first: str) -> None:
    for side in (_Loader, _Dumper):
        side.add_implicit_resolver(_TAG + kind, re.compile(f"^(?:{pattern})$", re.ASCII), list(first) or [""])


_plain_scalar("null", "~|null|Null|NULL", "~nN")
_plain_scalar("null", "", "")
_plain_scalar("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_plain_scalar("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_plain_scalar("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789")
_plain_scalar("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.")
_plain_scalar("merge", "<<", "<")


def load(text: str, file: str) -> Any:
    """Return the value of YAML text. Raises ``InvalidInput`` with every problem found in it."""
    try:
        _refuse_depth(text)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise InvalidInput(f"{file} is no YAML", problems=[_syntax_problem(error, text, file)]) from None
    if not nodes:
        raise InvalidInput(f"{file} cannot be used", problems=[Problem("is empty", file)])
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        message = 'holds more than one document: a line "---" parts them; write one a file'
        raise InvalidInput(f"{file} cannot be used", problems=[Problem(message, file, line=line)])
    builder = _Builder(file)
    value = builder.value(nodes[0], ())
    if builder.problems:
        raise InvalidInput(f"{file} cannot be used", problems=builder.problems)
    return value


def dump(value: Any, *, escaped: bool = False) -> str:
    """JSON values as YAML text which ``load`` reads as the same values; ``escaped``: in ASCII alone."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=not escaped))


def is_plain_text(text: str) -> bool:
    """Whether a plain scalar is text: no number, no true or false, no null."""
    return str(_Loader("").resolve(yaml.ScalarNode, text, (True, False))) == _TAG + "str"


def _refuse_depth(text: str) -> None:
    """Raise ``RecursionError`` for text nested so deeply that PyYAML's C code would overflow the stack.

    Only text that can be nested so deeply, by its brackets and the length of its lines, is looked at closely.
    """
    brackets = text.count("[") + text.count("{")
    if brackets + max(map(len, text.splitlines()), default=0) < _SUSPICIOUS:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _SUSPICIOUS:
                raise RecursionError
    except yaml.MarkedYAMLError as error:  # since 6.0.4 the C code has a limit of its own, met before any event
        read = text[: error.problem_mark.index if error.problem_mark else 0]
        if sum(map(read.count, "[{")) - sum(map(read.count, "]}")) > _SUSPICIOUS:
            raise RecursionError from None
        raise


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the line of the key or element at a path, else of the nearest one above it; 0 when the text is no YAML."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError):
        return 0
    if node is None:
        return 0
    line: int = node.start_mark.line + 1
    for part in path:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line


def duplicate_keys(text: str, file: str) -> list[Problem]:
    """Return a problem, with its line, for every key given twice."""
    builder = _Builder(file)
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            builder.value(node, ())
    except (yaml.YAMLError, RecursionError):
        return []
    return [problem for problem in builder.problems if "given twice" in problem.message]


class _Builder:
    """Turns composed nodes into values and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            message = f"holds more than {MOST_VALUES} values, aliases counted each time they are used"
            raise InvalidInput(f"{self.file} cannot be used", problems=[Problem(message, self.file)])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            return self._wrong(node, path, "an alias stands inside the value it names")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._expect_tag(node, path, "seq")
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            self._expect_tag(node, path, "map")
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: tuple[str | int, ...]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, item in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(item, path)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in value:
                self._wrong(key_node, (*path, key), f'the key "{key}" is given twice')
            value[key] = self.value(item, (*path, key))
        for other in merged:
            value = {**other, **value}
        return value

    def _merged(self, node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                yield self.value(source, path)
            else:
                self._wrong(node, path, '"<<" takes a map or a list of maps')

    def _key(self, node: yaml.Node, path: tuple[str | int, ...]) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, path, "a key must be text, not a list or a map")
            return None
        if node.tag != _TAG + "str":
            kind = {"int": "a number", "float": "a number", "bool": "true or false", "null": "null"}
            what = kind.get(node.tag.removeprefix(_TAG), "not text")
            self._wrong(node, (*path, node.value), f'a key must be text and this one is {what}: write "{node.value}"')
            return None
        return str(node.value)

    def _scalar(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "merge"}:
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind == "int":
            return self._integer(node, text, path)
        if kind == "float":
            number = _float(text)
            if math.isfinite(number):
                return written(number, text)
            return self._wrong(node, path, f'{text} is not a number JSON knows: write "{text}" if text is meant')
        return self._wrong(node, path, f"the tag {_tag_text(node.tag)} is not known here")

    def _integer(self, node: yaml.Node, text: str, path: tuple[str | int, ...]) -> Any:
        digits = text.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0" and digits.isdecimal():
            message = f'{text} may be text or an octal number: write "{text}" for text, 0o{digits[1:]} for octal'
            return self._wrong(node, path, message)
        try:
            return written(int(text, 0), text)
        except ValueError:
            return self._wrong(node, path, "is no number that can be read")

    def _expect_tag(self, node: yaml.Node, path: tuple[str | int, ...], kind: str) -> None:
        if node.tag != _TAG + kind:
            self._wrong(node, path, f"the tag {_tag_text(node.tag)} is not known here")

    def _wrong(self, node: yaml.Node, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(message, self.file, path_text(path), node.start_mark.line + 1))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _tag_text(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == part:
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 0
        return Problem(f"is no YAML: {getattr(error, 'reason', error)}", file, line=line)
    said = ", ".join(part for part in (getattr(error, "context", ""), getattr(error, "problem", "")) if part)
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][: mark.column + 1].endswith("\t"):
        said += " (a tab: YAML is indented with blanks)"
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "%":
        said += " (text that starts with % is put in quotes)"
    return Problem(f"is no YAML: {said}, column {mark.column + 1}", file, line=mark.line + 1)
