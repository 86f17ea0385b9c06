"""Stopping a job by a signal without being interrupted at a place where a task would be lost.

Python delivers a signal as an exception anywhere in the main thread. So the work is done in a thread of its own, and
the main thread only waits for it and for signals. Prefect's own handler stays in place: it must be there for Prefect to
know a cancellation from a crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context

from prefect.exceptions import TerminationSignal


class Stoppable:
    """Work that SIGINT and SIGTERM stop by calling ``stop``; a second signal means "do not wait"."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.received: KeyboardInterrupt | TerminationSignal | None = None
        self._stop = stop
        self._count = 0
        self._since = 0.0

    def impatient(self, grace: float) -> bool:
        """Whether waiting for what still runs should end: ``grace`` seconds are over, or the user asked again."""
        return self._count > 1 or (self._count == 1 and time.monotonic() - self._since > grace)

    def run(self, work: Callable[[], None]) -> None:
        """Do the work and return when it ends, also when it was told to stop. What it raises is raised."""
        ended: Future[None] = Future()

        def body() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is raised in the waiting thread
                ended.set_exception(error)
            else:
                ended.set_result(None)

        threading.Thread(target=copy_context().run, args=(body,), name="job", daemon=True).start()
        while True:
            try:
                ended.result()
                return
            except (KeyboardInterrupt, TerminationSignal) as signal:
                self._count += 1
                if self._count == 1:
                    self.received = signal
                    self._since = time.monotonic()
                    self._stop()
