"""Two config trees beside each other: at which paths they differ, within what a service cares for.

Cost: linear in both trees. Values are compared as JSON, so a tuple equals a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def paths_that_differ(wanted: Any, found: Any, covered: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the dotted paths, sorted, of every value that is not the same in both; empty when there is none.

    ``covered`` limits it to these paths and what lies below them; empty is no limit. An empty map counts as a value.
    """
    before, after = dict(_leaves(found, "")), dict(_leaves(wanted, ""))
    limits = tuple(covered)
    return tuple(
        path
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and (not limits or any(_covers(limit, path) for limit in limits))
    )


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, json.dumps(tree, sort_keys=True, default=str)


def _covers(limit: str, path: str) -> bool:
    """Whether one lies below the other, or they are the same: a map that became a scalar is told by its own path."""
    return path == limit or path.startswith(f"{limit}.") or limit.startswith(f"{path}.")
