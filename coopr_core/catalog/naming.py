"""How messages name the path of a key."""

from __future__ import annotations

from collections.abc import Sequence


def path_text(path: Sequence[str | int]) -> str:
    """A path as people read it: ``constraints.layout.mustcoexist[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
