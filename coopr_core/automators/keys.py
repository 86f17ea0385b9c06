"""The values of a task as lines that ``coopr_lookup_key`` finds with nothing but ``awk``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from coopr_core.errors import InvalidInput


def key_lines(tree: object, path: str = "") -> str:
    """Return every value of the tree, scalars and subtrees, as ``path<TAB>value`` lines for ``coopr_lookup_key``.

    ``path`` is the tree's own. ``%``, tab and line end are written ``%25``, ``%09`` and ``%0A``.
    """
    return "".join(f"{escaped(key)}\t{escaped(value)}\n" for key, value in _values(tree, path))


def _values(tree: object, path: str) -> Iterator[tuple[str, str]]:
    if path:
        value = tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)
        if "\0" in value:
            raise InvalidInput(f"{path} has a NUL character, which cannot be given to a script")
        yield path, value
    children: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(tree, Mapping):
        children = iter(tree.items())
    elif isinstance(tree, list | tuple):
        children = iter(enumerate(tree))
    for key, child in children:
        yield from _values(child, f"{path}/{key}" if path else str(key))


def escaped(text: str) -> str:
    """Return the text as it stands in a line of the keys."""
    return text.replace("%", "%25").replace("\n", "%0A").replace("\t", "%09")
