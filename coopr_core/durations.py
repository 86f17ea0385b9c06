"""Durations as people write them: ``2h``, ``7d``, ``1d12h30m``, or whole milliseconds; 0 is unlimited."""

from __future__ import annotations

import re

from coopr_core.errors import InvalidInput

FOREVER = 0
"""The duration that never ends."""

LONGEST = 1000 * 365 * 24 * 3600 * 1000
"""A lease longer than a thousand years is a mistyped one."""

_UNITS = {"d": 24 * 3600 * 1000, "h": 3600 * 1000, "m": 60 * 1000, "s": 1000}
_DURATION = re.compile(r"(?:(\d+)d)? ?(?:(\d+)h)? ?(?:(\d+)m)? ?(?:(\d+)s)?", re.ASCII)
_MILLISECONDS = re.compile(r"\d+", re.ASCII)


def parse_duration(value: int | str) -> int:
    """Milliseconds from milliseconds or from text: ``2h``, ``7d``, ``1d12h``, ``90s``, ``60000``.

    Raises ``InvalidInput`` when it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _in_range(value, value)
    if isinstance(value, str):
        text = value.strip()
        if _MILLISECONDS.fullmatch(text):
            return _in_range(int(text[:30]), value)
        match = _DURATION.fullmatch(text) if text else None
        if match:
            amounts = zip(match.groups(), _UNITS.values(), strict=True)
            return _in_range(sum(int(amount[:30]) * unit for amount, unit in amounts if amount), value)
    raise InvalidInput(
        f"{_shown(value)} is no duration",
        hint='write days, hours, minutes and seconds, like "7d", "2h" or "1d12h30m", or milliseconds; 0 is unlimited',
    )


def format_duration(milliseconds: int) -> str:
    """Return the duration as people write it: ``1d12h``, ``unlimited`` for 0; parts of a second are dropped."""
    if milliseconds == FOREVER:
        return "unlimited"
    rest, parts = milliseconds, []
    for unit, size in _UNITS.items():
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def _in_range(milliseconds: int, value: object) -> int:
    if milliseconds < 0:
        raise InvalidInput(f"{_shown(value)} is no duration: it is negative", hint="0 is unlimited")
    if milliseconds > LONGEST:
        raise InvalidInput(f"{_shown(value)} is longer than a thousand years", hint="0 is unlimited")
    return milliseconds


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
