"""One value as a person types it on a command line, read by the rules the catalog's files are read by.

Promise: the value is what was typed, or a problem says why not; nothing of it is lost. ``{...}``, ``[...]`` and text in
quotes are YAML; numbers, ``true``, ``false`` and ``null`` are what they are in a file; everything else is text as it
stands: ``no``, ``12:30``, ``s3cr #et``, ``p@ss: word``, ``%secret.db%``, ``@home``, several lines. Refused is what a
file would read as something else than what is seen: an anchor, a tag, blanks at an end, a line break within quotes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from coopr_core.documents.document import parse_yaml
from coopr_core.documents.written_numbers import number_problems
from coopr_core.documents.yaml_text import is_plain_text
from coopr_core.errors import InvalidInput, Problem

_NOTATION = ("{", "[", '"', "'")
_BLANKS = " \t\r\n"
_OPENING = (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
_FRAME = (yaml.StreamStartToken, yaml.StreamEndToken)


def read_value(text: str, place: str) -> Any:
    """Return the value of ``text``; ``place`` names it in messages.

    Raises ``InvalidInput`` for what would be changed.
    """
    if not text:
        return ""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _refused(place, "is not UTF-8 text")
    bare = text.strip(_BLANKS)
    if bare.startswith(_NOTATION):
        value = _in_yaml(bare, place)
        _refuse_loss(bare, place)
        return value
    if bare != text:
        raise _refused(place, "has blanks at its start or its end, which YAML drops")
    if text.startswith(("&", "!")):
        return _marked(text, place)
    if len(text.splitlines()) > 1:
        return _lines(text, place)
    return text if is_plain_text(text) else _in_yaml(text, place)


def _in_yaml(text: str, place: str) -> Any:
    try:
        value = parse_yaml(text, place)
    except InvalidInput as error:
        problems = [replace(problem, line=0) for problem in error.problems]
    else:
        problems = number_problems(value, place)
        if not problems:
            return value
    raise InvalidInput(f"{place} cannot be used", problems=problems)


def _marked(text: str, place: str) -> Any:
    """Text that starts like an anchor or a tag; only a tag of YAML's own, such as ``!!str 5``, has a use here."""
    value = _in_yaml(text, place)
    if text.startswith("!!"):
        return value
    what = "an anchor" if text.startswith("&") else "a tag"
    raise _refused(place, f"starts with {text[0]}, which is {what} in YAML")


def _lines(text: str, place: str) -> str:
    """Several lines are text, unless they are a list, a map or a block of YAML, which have a shorter form here."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return text
    if node is None or (isinstance(node, yaml.ScalarNode) and node.style not in {"|", ">"}):
        return text
    raise _refused(place, "is YAML of several lines: write {key: value} or [a, b], or put it into a file for --config")


def _refuse_loss(text: str, place: str) -> None:
    """Raise ``InvalidInput`` where YAML would drop part of the text: a comment, a line break, what follows its end."""
    try:
        tokens = [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if not isinstance(token, _FRAME)]
    except yaml.YAMLError as error:  # where PyYAML's two parsers do not agree, nobody knows what is meant
        raise _refused(place, f"is no YAML: {error}") from None
    if _end(tokens) != len(tokens):
        raise _refused(place, "goes on after the end of its list, map or text in quotes")
    if any(isinstance(token, yaml.ScalarToken) and token.start_mark.line != token.end_mark.line for token in tokens):
        raise _refused(place, "has text over several lines, which YAML makes one: write \\n in double quotes")
    ends = [token.end_mark.index for token in tokens]
    starts = [*(token.start_mark.index for token in tokens[1:]), len(text)]
    if any("#" in text[end:start] for end, start in zip(ends, starts, strict=True)):
        raise _refused(place, "has a comment, which YAML drops")


def _end(tokens: Sequence[yaml.Token]) -> int:
    """How many tokens the first value takes."""
    steps = (isinstance(token, _OPENING) - isinstance(token, _CLOSING) for token in tokens)
    return next((number for number, depth in enumerate(itertools.accumulate(steps), 1) if depth == 0), len(tokens))


def _refused(place: str, why: str) -> InvalidInput:
    return InvalidInput(f"{place} cannot be used", problems=[Problem(why, place)])
