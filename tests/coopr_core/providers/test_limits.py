"""One adaptive rate for all who ask an account."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coopr_core.errors import Denied, Interrupted, Throttled
from coopr_core.providers import limits
from coopr_core.providers.limits import RateLimit


def test_calls_of_all_threads_leave_no_faster_than_the_rate() -> None:
    rate = RateLimit(50)
    times: list[float] = []
    began = time.monotonic()
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda _: rate.call(lambda: times.append(time.monotonic())), range(20)))
    assert max(times) - began >= 19 / 50


def test_a_refusal_slows_all_down_and_successes_recover_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_TOGETHER", 60.0)
    rate = RateLimit(100)
    rate.refused(Throttled("slow down"))
    assert rate.rate == 50
    rate.refused(Throttled("of the same moment"))
    assert rate.rate == 50
    for _ in range(5):
        rate.succeeded()
    assert rate.rate is not None
    assert 50 < rate.rate < 100
    for _ in range(20):
        rate.succeeded()
    assert rate.rate == 100


def test_without_a_limit_a_refusal_makes_one_that_goes_again() -> None:
    rate = RateLimit()
    rate.refused(Throttled("slow down"))
    assert rate.rate is not None
    for _ in range(100):
        rate.succeeded()
    assert rate.rate is None


def test_who_was_asked_to_stay_away_stays_away_and_so_do_all_others() -> None:
    rate = RateLimit(1000)
    answers = [Throttled("later", retry_after=0.5)]
    began = time.monotonic()

    def work() -> float:
        if answers:
            raise answers.pop()
        return time.monotonic() - began

    assert rate.call(work) >= 0.5
    began = time.monotonic()
    rate.refused(Throttled("later", retry_after=0.5))
    with ThreadPoolExecutor(4) as threads:
        waited = list(threads.map(lambda _: rate.call(work), range(4)))
    assert min(waited) >= 0.5


def test_a_refusal_without_end_is_told_in_the_end_and_other_errors_at_once() -> None:
    rate = RateLimit()
    calls: list[int] = []

    def refuse() -> None:
        calls.append(1)
        raise Throttled("no")

    with pytest.raises(Throttled):
        rate.call(refuse, tries=3)
    assert len(calls) == 3

    def deny() -> None:
        calls.append(1)
        raise Denied("nobody")

    with pytest.raises(Denied):
        rate.call(deny)
    assert len(calls) == 4


def test_who_waits_for_its_turn_can_be_stopped() -> None:
    rate = RateLimit()
    rate.refused(Throttled("later", retry_after=3600))
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Interrupted):
        rate.call(lambda: None, stop.is_set)
