"""Leases: how long a cluster may live, and by how much its life may be prolonged (section 8, rule D13).

Durations are whole milliseconds; 0 is unlimited, as in the original. A template gives three: ``initial`` (what a new
cluster gets, and the most a request may ask for), ``max`` (an extended lease ends at the latest this long after the
cluster was created) and ``step`` (one extension adds at most this). A cluster without an end has expiry None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from coopr_core.catalog.entities import LeaseDuration

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


@dataclass(frozen=True, slots=True)
class Lease:
    """A template's lease rules in milliseconds; 0 is unlimited."""

    initial: int = FOREVER
    max: int = FOREVER
    step: int = FOREVER

    @classmethod
    def of(cls, durations: LeaseDuration) -> Lease:
        """Return the rules as a template writes them."""
        return cls(parse_duration(durations.initial), parse_duration(durations.max), parse_duration(durations.step))


def grant(lease: Lease, requested: int | str | None = None) -> int:
    """Return the duration a new cluster gets: what was requested, else the template's initial; 0 is for ever.

    Raises ``InvalidInput`` when the request asks for more than the template's initial.
    """
    if requested is None:
        return lease.initial
    wanted = parse_duration(requested)
    if _longer(wanted, lease.initial):
        raise InvalidInput(
            f"a lease of {format_duration(wanted)} is longer than the template allows",
            hint=f"ask for at most {format_duration(lease.initial)}",
        )
    return wanted


def expiry(created: datetime, granted: int) -> datetime | None:
    """When a cluster created then with this lease ends; None is never."""
    return None if granted == FOREVER else _later(created, granted)


def extend(lease: Lease, created: datetime, expires: datetime | None, by: int | str) -> datetime | None:
    """Return the new expiry of a cluster whose lease is extended by a duration; 0 asks for ever, None is never.

    Raises ``InvalidInput`` when ``by`` is longer than the step, when the new end lies after created + max, and when
    for ever is asked for but the template limits either.
    """
    wanted = parse_duration(by)
    if expires is None:
        return None
    if _longer(wanted, lease.step):
        raise InvalidInput(
            f"an extension by {format_duration(wanted)} is longer than the template allows",
            hint=f"extend by at most {format_duration(lease.step)} at a time",
        )
    if wanted == FOREVER:
        if lease.max != FOREVER:
            raise InvalidInput(
                "the template does not allow a lease without an end",
                hint=f"a lease may last {format_duration(lease.max)} from the cluster's creation",
            )
        return None
    end = _later(expires, wanted)
    if lease.max != FOREVER and end > _later(created, lease.max):
        left = max(timedelta(0), _later(created, lease.max) - expires) // timedelta(milliseconds=1)
        raise InvalidInput(
            f"extended by {format_duration(wanted)} the cluster would live longer than "
            f"the {format_duration(lease.max)} the template allows",
            hint=f"extend by at most {format_duration(left)}" if left else "the lease cannot be extended any more",
        )
    return end


def expired(expires: datetime | None, now: datetime) -> bool:
    """Whether the lease has run out."""
    return expires is not None and expires <= now


def _longer(wanted: int, allowed: int) -> bool:
    """Whether one duration exceeds another, 0 being longer than all others."""
    return allowed != FOREVER and (wanted == FOREVER or wanted > allowed)


def _later(moment: datetime, milliseconds: int) -> datetime:
    try:
        return moment + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise InvalidInput(f"a lease of {format_duration(milliseconds)} ends after the year 9999") from None


def _in_range(milliseconds: int, value: object) -> int:
    if milliseconds < 0:
        raise InvalidInput(f"{_shown(value)} is no duration: it is negative", hint="0 is unlimited")
    if milliseconds > LONGEST:
        raise InvalidInput(f"{_shown(value)} is longer than a thousand years", hint="0 is unlimited")
    return milliseconds


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
