"""Concurrency limits on tags of task runs, asked of the server only where there are any.

Prefect has every task run with tags wait in one queue per set of tags, and asks the server for each new set: that took
three quarters of the time of our tasks' threads, nearly always for limits that nobody has set. Here the limits that
there are on tags are read once for all tasks, every few seconds like Prefect's own memory of them, and Prefect is asked
for those alone. A task run keeps all its tags. Where Prefect's engine is not as it is known here, nothing is changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpx
from prefect import task_engine
from prefect.context import SyncClientContext

FRESH_SECONDS = 5.0
"""How long what is known of the limits is taken for granted; a new one is heeded after that."""

_PAGE = 200
_ENTRANCE = "_concurrency"
"""What Prefect's task engine calls to have a task run wait for the slots of its tags."""


@contextmanager
def only_limited_tags() -> Iterator[None]:
    """Have task runs that are submitted inside wait for the slots of those tags that have a limit."""
    _stand_before_prefect()
    token = _limits.set(_Limits())
    try:
        yield
    finally:
        _limits.reset(token)


class _Limits:
    """The names of the limits there are. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._read: float | None = None

    def among(self, names: Sequence[str]) -> list[str]:
        """Return those of the names that have a limit; all of them when the server does not say."""
        try:
            known = self._known()
        except httpx.HTTPError:
            return list(names)  # Prefect meets the trouble itself, and tells of it as it always does
        return [name for name in names if name in known]

    def _known(self) -> frozenset[str]:
        if not self._lock.acquire(blocking=self._read is None):
            return self._names  # another task looks just now
        try:
            if self._read is None or time.monotonic() - self._read > FRESH_SECONDS:
                self._names = frozenset(_names_of_limits())
                self._read = time.monotonic()
            return self._names
        finally:
            self._lock.release()


_limits: ContextVar[_Limits | None] = ContextVar("limits", default=None)


def _names_of_limits() -> Iterator[str]:
    with SyncClientContext.get_or_create() as context:
        offset = 0
        while True:
            page = context.client.read_global_concurrency_limits(limit=_PAGE, offset=offset)
            yield from (limit.name for limit in page)
            if len(page) < _PAGE:
                return
            offset += _PAGE


@cache
def _stand_before_prefect() -> None:
    """Look at the tags before Prefect does, for task runs of ours alone."""
    entrance: Callable[..., AbstractContextManager[None]] | None = getattr(task_engine, _ENTRANCE, None)
    if entrance is None:
        return

    def slots(names: str | list[str], *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        limits = _limits.get()
        wanted = names if limits is None else limits.among([names] if isinstance(names, str) else names)
        return entrance(wanted, *args, **kwargs)

    setattr(task_engine, _ENTRANCE, slots)
