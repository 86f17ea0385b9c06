"""What somebody who mistyped a name may have meant; one rule for every name the product knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names most like ``name``, the likeliest first; upper and lower case count as the same.

    A known name that is ``name`` in another case comes alone. Costs one comparison per known name.
    """
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    folded = name.casefold()
    if folded in by_folded:
        return [by_folded[folded]]
    return [by_folded[match] for match in get_close_matches(folded, by_folded, n=most, cutoff=0.65)]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """``did you mean "quantities"?``, or ``otherwise`` when nothing is near."""
    found = near(name, known)
    return "did you mean " + " or ".join(f'"{match}"' for match in found) + "?" if found else otherwise
