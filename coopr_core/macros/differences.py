"""Two configs beside each other, as people read it: a unified diff of their YAML, without anything secret.

A value under a key that is called like a secret (``password``, ``api_token``) is shown as stars, and as changed stars
where it differs. Cost: that of a diff of the texts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "********"
_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|private.?key|api.?key|(?<![a-z])(pass|pwd?)(?![a-z])",
    re.IGNORECASE,
)


def is_secret_key(key: str) -> bool:
    """Whether a key is called like something that is not shown."""
    return _SECRET_KEY.search(key) is not None


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines of the diff, without file names; empty when the two are equal."""
    old, new = _text(_hidden(before, before)), _text(_hidden(after, before))
    return tuple(difflib.unified_diff(old, new, lineterm="", n=2))[2:]


def _text(tree: Any) -> list[str]:
    import yaml

    if not tree:
        return []
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where it was built
    return str(yaml.dump(tree, Dumper=dumper, sort_keys=True, allow_unicode=True, width=1000)).splitlines()


def _hidden(tree: Any, other: Any, secret: bool = False) -> Any:
    """Return ``tree`` with its secrets as stars; those that differ from ``other``'s say so."""
    if isinstance(tree, Mapping):
        there = other if isinstance(other, Mapping) else {}
        return {key: _hidden(value, there.get(key), secret or is_secret_key(str(key))) for key, value in tree.items()}
    if secret and tree not in (None, ""):
        return HIDDEN if tree == other else f"{HIDDEN} (changed)"
    return [_hidden(item, None) for item in tree] if isinstance(tree, list | tuple) else tree
