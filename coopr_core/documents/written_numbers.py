"""Numbers that a script would get written otherwise than they stand in a file: ``3.10``, ``1234e5``, ``0x1F``, ``+5``.

Readers of files give such a number as one that remembers its text. It is a number to what wants a number, its text to
what wants text (a price, the name of an image); wherever nobody knows what is wanted, in config and in an action's
fields, it is a ``Problem`` that says what to write. Cost: linear in the tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from coopr_core.documents.paths import path_text
from coopr_core.errors import Problem

Path = tuple[str | int, ...]


class WrittenInt(int):
    """A whole number that was written otherwise than it would be told; ``str`` gives it as written."""

    text: str

    def __str__(self) -> str:
        return self.text


class WrittenFloat(float):
    """A number that was written otherwise than it would be told; ``str`` gives it as written."""

    text: str

    def __str__(self) -> str:
        return self.text


def written(number: int | float, text: str) -> int | float:
    """Return the number, which remembers its text when that is not how a script would get it."""
    if json.dumps(number) == text:
        return number
    kept = WrittenFloat(number) if isinstance(number, float) else WrittenInt(number)
    kept.text = text
    return kept


def changed_numbers(tree: Any, path: Path = ()) -> Iterator[tuple[Path, WrittenInt | WrittenFloat]]:
    """Every number of the tree that remembers its text, with its path, in the order of the tree."""
    if isinstance(tree, WrittenInt | WrittenFloat):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from changed_numbers(value, (*path, key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from changed_numbers(value, (*path, index))


def advice(number: WrittenInt | WrittenFloat) -> str:
    """Return what to write instead of a number that would be changed."""
    told = json.dumps(number)
    return f'{number} would reach a script as {told}: write "{number}" for the text, {told} for the number'


def number_problems(tree: Any, file: str = "") -> list[Problem]:
    """Return a problem for every number of the tree that would be changed."""
    return [Problem(advice(number), file, path_text(path)) for path, number in changed_numbers(tree)]
