"""What many threads ask for one by one, sent many at a time.

Promise: nothing waits for company longer than the gathering time; a full batch leaves at once; each thread gets the
answer to its own item, or that item's own error. The thread whose item came first sends the batch, so that nothing runs
when nobody asks. An answer costs its batch's call and at most the gathering time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from coopr_core.errors import Interrupted

T = TypeVar("T")
R = TypeVar("R")

Stopped = Callable[[], bool]
"""Tells whether somebody does not wait any more."""

_NAP = 0.5


def never() -> bool:
    """Stop for nothing."""
    return False


class _Entry(Generic[T, R]):
    def __init__(self, item: T, leaves: float, stopped: Stopped) -> None:
        self.item = item
        self.leaves = leaves
        self.stopped = stopped
        self.is_sent = False
        self.is_answered = threading.Event()
        self.answer: R | BaseException | None = None


class Batches(Generic[T, R]):
    """Gathers items into calls of ``send``, which answers each, in their order; an error is an answer too.

    ``send`` is told too how it learns that nobody waits for its answers any more.
    """

    def __init__(
        self, send: Callable[[Sequence[T], Stopped], Sequence[R | BaseException]], size: int, seconds: float
    ) -> None:
        self._send = send
        self._size = size
        self._seconds = seconds if size > 1 else 0.0
        self._changed = threading.Condition()
        self._waiting: list[_Entry[T, R]] = []

    def ask(self, item: T, stopped: Stopped = never) -> R:
        """Return the answer to the item. Raises its error, or ``Interrupted`` when ``stopped`` before it came."""
        entry = _Entry[T, R](item, time.monotonic() + self._seconds, stopped)
        if batch := self._batch(entry):
            self._ask(batch)
        while not entry.is_answered.wait(_NAP):
            if stopped():
                raise Interrupted("stopped before a provider had answered")
        if isinstance(entry.answer, BaseException):
            raise entry.answer
        return entry.answer  # type: ignore[return-value] # it is answered, and no error

    def _batch(self, entry: _Entry[T, R]) -> list[_Entry[T, R]]:
        """Wait until the entry's batch leaves: the batch, if it is for us to send."""
        with self._changed:
            self._waiting.append(entry)
            self._changed.notify_all()
            while not entry.is_sent:
                left = entry.leaves - time.monotonic()
                if self._waiting[0] is entry and (left <= 0 or len(self._waiting) >= self._size):
                    batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
                    for each in batch:
                        each.is_sent = True
                    self._changed.notify_all()
                    return batch
                self._changed.wait(max(left, 0.001) if self._waiting[0] is entry else None)
        return []

    def _ask(self, batch: Sequence[_Entry[T, R]]) -> None:
        answers: Sequence[R | BaseException]
        try:
            answers = self._send([entry.item for entry in batch], lambda: all(entry.stopped() for entry in batch))
        except BaseException as error:
            answers = [error] * len(batch)
            if not isinstance(error, Exception):
                raise
        finally:
            for entry, answer in zip(batch, answers, strict=True):
                entry.answer = answer
                entry.is_answered.set()
