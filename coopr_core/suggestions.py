"""What somebody who mistyped a name may have meant; one rule for every name the product knows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_LEAST_PART = 3
"""A name shorter than this is no part of a longer one that anybody would recognize."""


def near(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names most like ``name``, the likeliest first; upper and lower case count as the same.

    A known name that is ``name`` in another case comes alone. Names spelt alike come before those that begin with
    ``name`` or have it as a word: ``nats`` may mean ``nats-server``. Costs one comparison per known name.
    """
    by_folded = {_folded(candidate): candidate for candidate in sorted(known)}
    folded = _folded(name)
    if folded in by_folded:
        return [by_folded[folded]]
    alike = get_close_matches(folded, by_folded, n=most, cutoff=0.65)
    longer = [each for each in by_folded if each not in alike and _is_part(folded, each)]
    return [by_folded[match] for match in [*alike, *longer][:most]]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", *, form: str = '"{}"') -> str:
    """Return ``did you mean "quantities"?``, or ``otherwise`` if none is near; ``form`` is how names are written."""
    found = near(name, known)
    return "did you mean " + " or ".join(form.format(match) for match in found) + "?" if found else otherwise


def among(name: str, known: Iterable[str], what: str = "there is", most: int = 12) -> str:
    """Return ``did you mean "nats"? there is: nats, webapp``: what may have been meant, and what there is."""
    names = sorted(known)
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    meant = did_you_mean(name, names)
    return f"{meant}{' ' if meant else ''}{what}: {shown or 'none'}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_part(name: str, longer: str) -> bool:
    return len(name) >= _LEAST_PART and (longer.startswith(name) or name in re.split(r"[^\w]|_", longer))
