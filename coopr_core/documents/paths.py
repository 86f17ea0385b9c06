"""How messages name the path of a key, and many entities."""

from __future__ import annotations

import re
from collections.abc import Sequence


def path_text(path: Sequence[str | int]) -> str:
    """Return a path as people read it: ``constraints.layout.mustcoexist[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_of(text: str) -> tuple[str | int, ...]:
    """Return the path that is written so; a key with a dot in it is taken for two."""
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", text)
    return tuple(int(index) if index else key for index, key in parts)


def few(names: Sequence[str], most: int = 4) -> str:
    """Return the first of the names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
