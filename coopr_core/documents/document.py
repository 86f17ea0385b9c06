"""One YAML or JSON file as a tree of JSON values that knows the line of each of its keys.

Promise: what is read is what stands there. A key given twice, a value JSON does not know, a second document or text
that is not UTF-8 is a ``Problem`` with its line, never a guess. YAML is read by the rules of YAML 1.2: ``yes``, ``no``,
``on`` and ``12:30`` are text; numbers whose text would be lost remember it (``written_numbers``). Cost: linear in the
file; lines are looked up only when a problem needs one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopr_core.documents.paths import path_text
from coopr_core.documents.written_numbers import advice, changed_numbers, written
from coopr_core.errors import InvalidInput, Problem

SUFFIXES = (".yaml", ".yml", ".json")
"""The file names read as entities end with one of these."""

LARGEST = 4 * 1024 * 1024
"""No entity or config is this long, in bytes; a larger file is something else."""

DEEPEST = 100
"""No config is nested deeper."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read: its value, and its text for the lines."""

    file: str
    text: str
    value: Any

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of the key or list element at a path, else of the nearest one above it; 0 when unknown."""
        from coopr_core.documents.yaml_text import line_of

        return line_of(_as_yaml(self.text) if is_json(self.file) else self.text, path)

    def number_problems(self, accepted: Collection[int] = ()) -> list[Problem]:
        """Return a problem for every number that a script would get written otherwise than it stands here.

        ``accepted`` are the ``id`` of those whose reader keeps what was written.
        """
        return [
            Problem(advice(number), self.file, path_text(path), self.line(path))
            for path, number in changed_numbers(self.value)
            if id(number) not in accepted
        ]

    @property
    def exact_value(self) -> Any:
        """The value. Raises ``InvalidInput`` when it holds numbers that would be changed on the way to a script."""
        problems = self.number_problems()
        if problems:
            raise InvalidInput(f"{self.file} has numbers that would be changed", problems=problems)
        return self.value


def is_json(file: str) -> bool:
    """Whether a file of this name is read as JSON."""
    return file.lower().endswith(".json")


def read(path: Path) -> Document:
    """Read one file. Raises ``InvalidInput`` with every problem of its syntax."""
    file = str(path)
    return parse(read_text(path), file)


def read_text(path: Path) -> str:
    """Return the text of a file. Raises ``InvalidInput`` when it cannot be read, is too large or is no UTF-8 text."""
    file = str(path)
    try:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "a link to nothing" if path.is_symlink() else "no such file"
            raise _invalid(file, problem)
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise _invalid(file, f"cannot be read: {error.strerror or error}") from None
    return text_of(content, file)


def text_of(content: bytes, file: str) -> str:
    """Return what stands in a file, from its bytes. Raises ``InvalidInput`` when they are too many or no UTF-8 text."""
    if len(content) > LARGEST:
        raise _invalid(file, f"is larger than {LARGEST // 1024 // 1024} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(file, f"is not UTF-8 text: byte 0x{content[error.start]:02x}", line) from None
    if "\0" in text:
        raise _invalid(file, "is not text: it holds a NUL byte", text.count("\n", 0, text.index("\0")) + 1)
    return text


def parse(text: str, file: str) -> Document:
    """Read text as JSON or YAML, by the file's name. Raises ``InvalidInput`` with every problem of its syntax."""
    if not is_json(file):
        return Document(file, text, parse_yaml(text, file))
    try:
        value = _from_json(text, file)
        _refuse_depth(value)
    except RecursionError:
        raise _invalid(file, "is nested too deeply") from None
    return Document(file, text, value)


def parse_yaml(text: str, file: str) -> Any:
    """Return the value of YAML text, whatever the file is called. Raises ``InvalidInput`` like ``parse``."""
    from coopr_core.documents.yaml_text import load

    try:
        value = load(text, file)
        _refuse_depth(value)
    except RecursionError:
        raise _invalid(file, "is nested too deeply") from None
    return value


def _refuse_depth(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise RecursionError
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_depth(item, depth + 1)


def _from_json(text: str, file: str) -> Any:
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        if len(value) < len(items):
            keys = [key for key, _ in items]
            duplicates.extend(key for key in value if keys.count(key) > 1)
        return value

    def constant(name: str) -> Any:
        raise _invalid(file, f"{name} is not JSON", _line_of_word(text, name))

    def number(word: str) -> int | float:
        if not math.isfinite(found := float(word)):
            raise _invalid(file, f"{word} is larger than any number JSON's readers know", _line_of_word(text, word))
        return written(found, word)

    if not text.strip():
        raise _invalid(file, "is empty")
    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_constant=constant,
            parse_float=number,
            parse_int=lambda text: written(int(text), text),
        )
    except json.JSONDecodeError as error:
        raise _invalid(file, f"is no JSON: {_lower_first(error.msg)}, column {error.colno}", error.lineno) from None
    except ValueError as error:
        raise _invalid(file, f"is no JSON: {error}") from None
    if duplicates:
        from coopr_core.documents.yaml_text import duplicate_keys

        problems = duplicate_keys(_as_yaml(text), file) or [
            Problem(f'the key "{key}" is given twice', file) for key in duplicates
        ]
        raise InvalidInput(f"{file} has keys that are given twice", problems=problems)
    return value


def _as_yaml(text: str) -> str:
    """JSON text as YAML with the same lines: no tabs, and none of JSON's halves of characters."""
    return _SURROGATE.sub("?", text.replace("\t", " "))


def _line_of_word(text: str, word: str) -> int:
    return text.count("\n", 0, text.index(word)) + 1 if word in text else 0


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _invalid(file: str, message: str, line: int = 0) -> InvalidInput:
    return InvalidInput(f"{file} cannot be used", problems=[Problem(message, file, line=line)])
