"""Work that signals stop: they are told to it wherever they come, and raised nowhere in between."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from coopr_core.work.job.signals import Stoppable


class ToldToEnd(Exception):
    """What the handler in place raises."""


@pytest.fixture
def handler() -> Iterator[Any]:
    def raises(number: int, frame: FrameType | None) -> None:
        raise ToldToEnd(number)

    before = signal.signal(signal.SIGTERM, raises)
    yield raises
    signal.signal(signal.SIGTERM, before)


class Work:
    """Ends when it has been stopped ``times``, or after a minute."""

    def __init__(self, times: int) -> None:
        self.counts: list[int] = []
        self.begun = 0
        self.ended = False
        self.handler: Any = None
        self._times = times
        self._enough = threading.Event()

    def stop(self, count: int) -> None:
        self.counts.append(count)
        if count < self._times:
            signal.raise_signal(signal.SIGTERM)  # while the work is being told of the one before
        else:
            self._enough.set()

    def __call__(self) -> None:
        self.begun += 1
        self.handler = signal.getsignal(signal.SIGTERM)
        self.ended = self._enough.wait(60)


def test_a_signal_is_told_to_work_that_is_just_being_started(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        monkeypatch.undo()
        start(thread)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    work = Work(times=1)
    stoppable = Stoppable(work.stop, (ToldToEnd,))
    stoppable.run(work)
    assert (work.begun, work.ended) == (1, True)
    assert work.counts == [1]
    assert isinstance(stoppable.received, ToldToEnd)


def test_signals_that_come_while_the_work_is_told_of_one_are_counted_and_the_first_is_kept(handler: Any) -> None:
    work = Work(times=3)
    stoppable = Stoppable(work.stop, (ToldToEnd,))
    threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)).start()
    stoppable.run(work)
    assert work.ended
    assert work.counts == [1, 2, 3]
    assert isinstance(stoppable.received, ToldToEnd)
    assert work.handler is handler, "Prefect cancels a run only while its own handler is in place"


@pytest.mark.parametrize("error", [ValueError, ToldToEnd])
def test_what_the_work_raises_is_raised_and_is_no_signal(error: type[Exception]) -> None:
    def fails() -> None:
        raise error("its own")

    stoppable = Stoppable(lambda count: None, (ToldToEnd,))
    with pytest.raises(error, match="its own"):
        stoppable.run(fails)
    assert stoppable.received is None


def test_an_exception_that_stands_for_no_signal_is_raised_as_ever(handler: Any) -> None:
    work = Work(times=1)
    stoppable = Stoppable(work.stop)
    threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)).start()
    with pytest.raises(ToldToEnd):
        stoppable.run(work)
    work.stop(1)
