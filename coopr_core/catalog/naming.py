"""How messages name things: the path of a key, and the names that resemble a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def near(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names most like ``name``, the likeliest first; upper and lower case count as the same."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.7)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean "quantities"?`` or "" when nothing is near."""
    found = near(name, known)
    return "did you mean " + " or ".join(f'"{match}"' for match in found) + "?" if found else ""


def path_text(path: Sequence[str | int]) -> str:
    """A path as people read it: ``constraints.layout.mustcoexist[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
