"""Stopping a job by a signal without being interrupted at a place where a task would be lost.

Python delivers a signal as an exception anywhere in the main thread. So the work is done in a thread of its own, and
the main thread only waits for it and for signals, which count wherever they come: also while that thread is being
started, or told of an earlier one. The handlers in place stay: Prefect cancels a run only while its own is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context


class Stoppable:
    """Work that exceptions of the main thread which stand for a signal stop, by calling ``stop`` with their number."""

    def __init__(
        self, stop: Callable[[int], None], signals: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
    ) -> None:
        """``stop`` is called with 1 at the first signal, 2 at the second ("do not wait"), and so on."""
        self.received: BaseException | None = None
        """The first signal that came."""
        self._stop = stop
        self._signals = signals

    def run(self, work: Callable[[], None]) -> None:
        """Do the work and return when it ends, also when it was told to stop. What it raises is raised."""
        ended: Future[None] = Future()
        taken = threading.Lock()

        def body() -> None:
            if not taken.acquire(blocking=False):
                return  # a signal came while a thread before this one was being started, and that one does the work
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is raised in the waiting thread
                ended.set_exception(error)
            else:
                ended.set_result(None)

        came = told = 0
        started = False
        while True:
            try:
                while told < came:
                    told += 1
                    self._stop(told)
                if not started:
                    threading.Thread(target=copy_context().run, args=(body,), name="job", daemon=True).start()
                    started = True
                ended.exception()
                break
            except self._signals as signal:
                came += 1
                self.received = self.received or signal
        ended.result()
