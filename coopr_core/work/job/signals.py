"""Stopping a job by a signal without being interrupted at a place where a task would be lost.

A handler that raises does so anywhere in the main thread: also where it begins to wait for the work, or where it tells
the work of an earlier signal. So the work is done in a thread of its own, the main thread only waits for what is put
into a queue, and while it does the handlers in place are asked within ours: what they raise is told, not raised.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
"""The signals by which people, service managers and Prefect end a program."""


class Stoppable:
    """Work that signals stop, by calling ``stop`` with how many came; known by what their handlers raise."""

    def __init__(
        self, stop: Callable[[int], None], signals: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
    ) -> None:
        """``stop`` is called with 1 at the first signal, 2 at the second ("do not wait"), and so on."""
        self.received: BaseException | None = None
        """What the handler of the first signal raised."""
        self._stop = stop
        self._signals = signals

    def run(self, work: Callable[[], None]) -> None:
        """Do the work and return when it ends, also when it was told to stop. What it raises is raised."""
        ended: Future[None] = Future()
        told: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True for each signal, False when the work has ended

        def body() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is raised in the waiting thread
                ended.set_exception(error)
            else:
                ended.set_result(None)
            finally:
                told.put(False)

        with self._heard(lambda: told.put(True)):
            threading.Thread(target=copy_context().run, args=(body,), name="job", daemon=True).start()
            count = 0
            while told.get():
                count += 1
                self._stop(count)
        ended.result()

    @contextlib.contextmanager
    def _heard(self, tell: Callable[[], None]) -> Iterator[None]:
        """Have what the handlers in place raise noted and told; they are in place again afterwards.

        Only the main thread is sent signals: in any other there is nothing to hear.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with contextlib.ExitStack() as handlers:
            for number in _NUMBERS:
                before = signal.getsignal(number)
                if callable(before):
                    handlers.callback(signal.signal, number, before)
                    signal.signal(number, self._asking(before, tell))
            yield

    def _asking(
        self, before: Callable[[int, FrameType | None], object], tell: Callable[[], None]
    ) -> Callable[[int, FrameType | None], None]:
        def handler(number: int, frame: FrameType | None) -> None:
            try:
                before(number, frame)
            except self._signals as raised:
                self.received = self.received or raised
                tell()

        return handler
