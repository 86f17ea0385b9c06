"""Leases: how long a cluster may live, and by how much its life may be prolonged (section 8, rule D13).

Durations are whole milliseconds; 0 is unlimited, as in the original. A template gives three: ``initial`` (what a new
cluster gets, and the most a request may ask for), ``max`` (an extended lease ends at the latest this long after the
cluster was created) and ``step`` (one extension adds at most this). A cluster without an end has expiry None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coopr_core.durations import FOREVER, format_duration, parse_duration
from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from coopr_core.catalog.entities import LeaseDuration


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
