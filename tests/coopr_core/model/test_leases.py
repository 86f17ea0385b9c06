"""Leases: how durations are written, what is granted, and by how much a lease may be extended (section 8, rule D13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_reference import SHARED, vectors

from coopr_core.catalog.entities import LeaseDuration
from coopr_core.durations import LONGEST, format_duration, parse_duration
from coopr_core.errors import InvalidInput
from coopr_core.model.leases import Lease, expired, expiry, extend, grant

HOUR = 3600 * 1000
DAY = 24 * HOUR
CREATED = datetime(2026, 1, 1, tzinfo=UTC)

_PRESENT = (SHARED / "reference" / "vectors" / "misc.json").exists()
_CASES = [case for case in vectors("misc")["cases"] if case["kind"] == "lease"] if _PRESENT else []


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_initial_leases_are_those_of_the_original(case: dict[str, Any]) -> None:
    given, expected = case["input"], case["expected"]
    requested = None if given["requested"] == -1 else given["requested"]
    if expected["status"] == "error":
        with pytest.raises((InvalidInput, ValueError)):
            grant(Lease.of(LeaseDuration.model_validate(given["lease"])), requested)
    else:
        lease = Lease.of(LeaseDuration.model_validate(given["lease"]))
        assert (lease.initial, lease.max, lease.step) == (expected["initial"], expected["max"], expected["step"])
        assert grant(lease, requested) == expected["granted"]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2h", 2 * HOUR),
        ("7d", 7 * DAY),
        ("1d12h", 36 * HOUR),
        ("1d 12h 30m 5s", 36 * HOUR + 30 * 60000 + 5000),
        ("90s", 90000),
        ("60000", 60000),
        ("0", 0),
        ("0d", 0),
        (" 5m ", 300000),
        (60000, 60000),
        (0, 0),
    ],
)
def test_durations_are_days_hours_minutes_seconds_or_milliseconds(text: int | str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", " ", "1w", "-1", -1, "1.5h", "h", "2h1d", "1d1d", "٣d", "forever", True, "9" * 5000, "9" * 30 + "d"]
)
def test_other_durations_are_refused(text: int | str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_duration(text)
    assert len(error.value.message) < 120


@given(st.integers(0, LONGEST // 1000))
def test_a_duration_of_whole_seconds_is_read_back_as_it_was_written(seconds: int) -> None:
    written = format_duration(seconds * 1000)
    assert parse_duration("0" if written == "unlimited" else written) == seconds * 1000


def test_a_request_may_ask_for_less_but_not_for_more_than_the_initial() -> None:
    lease = Lease(initial=2 * HOUR)
    assert grant(lease) == 2 * HOUR
    assert grant(lease, "30m") == HOUR // 2
    for too_long in ("3h", 0):
        with pytest.raises(InvalidInput) as error:
            grant(lease, too_long)
        assert error.value.hint == "ask for at most 2h"
    assert grant(Lease(), "7d") == 7 * DAY
    assert grant(Lease(), 0) == 0


def test_a_lease_without_end_never_expires() -> None:
    assert expiry(CREATED, 0) is None
    assert not expired(None, CREATED)
    assert expiry(CREATED, HOUR) == CREATED + timedelta(hours=1)
    assert expired(CREATED, CREATED)
    assert not expired(CREATED + timedelta(seconds=1), CREATED)


def test_an_extension_adds_at_most_the_step_even_without_a_max() -> None:
    lease = Lease(initial=DAY, max=0, step=HOUR)
    end = CREATED + timedelta(days=1)
    assert extend(lease, CREATED, end, "1h") == end + timedelta(hours=1)
    for too_long in ("61m", 0):
        with pytest.raises(InvalidInput) as error:
            extend(lease, CREATED, end, too_long)
        assert error.value.hint == "extend by at most 1h at a time"


def test_an_extended_lease_ends_at_the_latest_max_after_the_creation() -> None:
    lease = Lease(initial=DAY, max=2 * DAY, step=0)
    end = CREATED + timedelta(days=1)
    assert extend(lease, CREATED, end, "1d") == CREATED + timedelta(days=2)
    with pytest.raises(InvalidInput) as error:
        extend(lease, CREATED, end, "25h")
    assert error.value.hint == "extend by at most 1d"
    with pytest.raises(InvalidInput) as error:
        extend(lease, CREATED, CREATED + timedelta(days=2), "1s")
    assert error.value.hint == "the lease cannot be extended any more"
    with pytest.raises(InvalidInput, match="without an end"):
        extend(lease, CREATED, end, 0)


def test_for_ever_is_allowed_when_the_template_limits_neither_step_nor_max() -> None:
    assert extend(Lease(initial=DAY), CREATED, CREATED, 0) is None
    assert extend(Lease(initial=DAY, step=HOUR), CREATED, None, "2m") is None


def test_a_lease_that_ends_after_all_calendars_is_refused() -> None:
    with pytest.raises(InvalidInput, match="year 9999"):
        expiry(datetime(9500, 1, 1, tzinfo=UTC), LONGEST)


@given(st.integers(0, 10 * DAY), st.integers(0, 10 * DAY), st.integers(0, 10 * DAY), st.integers(0, 10 * DAY))
def test_no_extension_leads_beyond_what_the_template_allows(longest: int, step: int, so_far: int, by: int) -> None:
    lease = Lease(initial=DAY, max=longest, step=step)
    end = CREATED + timedelta(milliseconds=so_far)
    try:
        extended = extend(lease, CREATED, end, by)
    except InvalidInput:
        return
    if extended is None:
        assert (longest, step, by) == (0, 0, 0)
    else:
        assert not longest or extended <= CREATED + timedelta(milliseconds=longest)
        assert not step or extended - end <= timedelta(milliseconds=step)
