"""What stops a job is one value: every change of it stands in the table, and only those happen."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import product

import pytest

from coopr_core.errors import CooprError
from coopr_core.work.halt import ENDING, LEADS_TO, Halt, JobHalt


def path_to(reason: Halt) -> list[Halt]:
    """A way from nothing to that reason."""
    ways: dict[Halt, list[Halt]] = {Halt.NONE: []}
    todo = [Halt.NONE]
    while todo:
        at = todo.pop(0)
        for after in sorted(LEADS_TO[at]):
            if after not in ways:
                ways[after] = [*ways[at], after]
                todo.append(after)
    return ways[reason]


def halted_as(reason: Halt) -> JobHalt:
    halt = JobHalt()
    for step in path_to(reason):
        assert halt.to(step)
    return halt


@pytest.mark.parametrize(("before", "after"), list(product(Halt, Halt)), ids=lambda halt: halt.name)
def test_a_reason_follows_another_only_as_the_table_says(before: Halt, after: Halt) -> None:
    halt = halted_as(before)
    assert halt.to(after) is (after in LEADS_TO[before])
    assert halt.reason is (after if after in LEADS_TO[before] else before)
    assert halt.halted is (halt.reason is not Halt.NONE)
    assert halt.now.ends_what_runs is (halt.reason in ENDING)


def test_the_table_is_whole_and_no_reason_leads_to_itself() -> None:
    assert set(LEADS_TO) == set(Halt)
    assert all(reason not in LEADS_TO[reason] for reason in Halt)


@pytest.mark.parametrize(
    ("reasons", "stands"),
    [
        ((Halt.PAUSED, Halt.NONE, Halt.PAUSED), Halt.PAUSED),
        ((Halt.FAILED, Halt.PAUSED, Halt.NONE), Halt.FAILED),
        ((Halt.CUT_OFF, Halt.FAILED), Halt.CUT_OFF),
        ((Halt.STOPPED, Halt.ABORTED), Halt.STOPPED),
        ((Halt.ABORTED, Halt.STOPPED), Halt.ABORTED),
        ((Halt.STOPPED, Halt.LOST, Halt.OVER), Halt.LOST),
        ((Halt.PAUSED, Halt.LOST, Halt.LEFT), Halt.LEFT),
        ((Halt.FAILED, Halt.OVER, Halt.LOST, Halt.ABORTED), Halt.OVER),
    ],
)
def test_of_several_reasons_the_one_that_weighs_most_stands(reasons: tuple[Halt, ...], stands: Halt) -> None:
    halt = JobHalt()
    for reason in reasons:
        halt.to(reason)
    assert halt.reason is stands


def test_what_runs_is_ended_once_and_waited_for_from_then_on() -> None:
    ended: list[float] = []
    halt = JobHalt(lambda: ended.append(time.monotonic()))
    halt.to(Halt.FAILED)
    assert (ended, halt.now.overdue(0)) == ([], False)
    halt.to(Halt.ABORTED)
    since = halt.now.since
    halt.to(Halt.LOST)
    assert len(ended) == 1
    assert halt.now.since == since
    assert halt.now.overdue(0)
    assert not halt.now.overdue(60)
    halt.hurry()
    assert halt.now.overdue(60)
    assert halt.reason is Halt.LOST


def test_the_error_behind_a_reason_is_kept() -> None:
    halt = JobHalt()
    gone = CooprError("the server is gone")
    halt.to(Halt.CUT_OFF, gone)
    assert not halt.to(Halt.CUT_OFF, CooprError("another"))
    assert halt.now.cause is gone


@pytest.fixture
def waiting() -> Iterator[tuple[JobHalt, threading.Thread]]:
    halt = JobHalt()
    thread = threading.Thread(target=halt.wait, args=(300,))
    thread.start()
    yield halt, thread
    halt.hurry()
    thread.join()


def test_who_waits_hears_of_a_change(waiting: tuple[JobHalt, threading.Thread]) -> None:
    halt, thread = waiting
    while thread.is_alive():
        halt.to(Halt.NONE if halt.reason is Halt.PAUSED else Halt.PAUSED)
        thread.join(0.01)
    assert not thread.is_alive()


def test_many_threads_end_what_runs_once() -> None:
    ended: list[int] = []
    halt = JobHalt(lambda: ended.append(1))
    begin = threading.Barrier(8)

    def stop(reason: Halt) -> None:
        begin.wait()
        halt.to(reason)

    threads = [threading.Thread(target=stop, args=(reason,)) for reason in [Halt.STOPPED, Halt.ABORTED] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [1]
