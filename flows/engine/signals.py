"""Stopping a job by a signal without being interrupted at a place where a task would be lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any


class StopSignals:
    """While entered, SIGINT and SIGTERM call ``stop`` instead of interrupting this thread wherever it happens to be.

    Only the main thread can take signals; in another one this does nothing. A second signal means "do not wait".
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.received = 0
        self._count = 0
        self._since = 0.0
        self._stop = stop
        self._before: dict[int, Any] = {}

    def impatient(self, grace: float) -> bool:
        """Whether waiting for running tasks should end: ``grace`` seconds are over, or the user asked again."""
        return self._count > 1 or (self._count == 1 and time.monotonic() - self._since > grace)

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: object) -> None:
        self._count += 1
        if self._count == 1:
            self.received = number
            self._since = time.monotonic()
            self._stop()
