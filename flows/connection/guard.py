"""Nothing of this process is told to another's server that has taken the port of ours.

Prefect makes its clients itself, in many threads and with two libraries, and offers no place to look at whom they
connect to; but each of them connects a socket. So connections to our server's port are looked at where Python makes
them: a process that is not the one we started is refused like a port on which nobody listens, before the password or a
record reaches it. Costs a tenth of a millisecond a connection, and a look at the machine's sockets once in a second.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.connection.record import HOST, ServerRecord, listens, process_of, running

BELIEVED_SECONDS = 1.0
"""How long a living server is believed to listen still: one that shuts down lets go of its port before it ends."""


@dataclass
class Watch:
    """Our server as this process knows it, in the state directory ``home``."""

    home: Path
    record: ServerRecord
    _seen: float = -BELIEVED_SECONDS

    def in_place(self) -> bool:
        """Whether the server, or one started in its place since, listens on its port."""
        if time.monotonic() - self._seen < BELIEVED_SECONDS and process_of(self.record) is not None:
            return True
        for record in (self.record, running(self.home)):
            if record is not None and record.port == self.record.port and listens(record):
                self.record, self._seen = record, time.monotonic()
                return True
        return False


_passing: set[int] = set()
"""The threads that are not looked at."""

_watched: Watch | None = None
"""What this process is pointed at, when that is ours."""


def watch(home: Path, record: ServerRecord) -> None:
    """From now on, let connections to the server's port pass only while that server, or its successor, listens."""
    global _watched
    _watched = Watch(home, record)
    _begin()


@contextlib.contextmanager
def passed_by_this_thread() -> Iterator[None]:
    """Let this thread alone connect to the port meanwhile, as who starts a server there must."""
    _passing.add(threading.get_ident())
    try:
        yield
    finally:
        _passing.discard(threading.get_ident())


def unwatch() -> None:
    """Let all connections pass again."""
    global _watched
    _watched = None


@functools.cache
def _begin() -> None:
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or (watched := _watched) is None or threading.get_ident() in _passing:
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[:2] == (HOST, watched.record.port) and not watched.in_place():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "this is not the Prefect server that coopr started")
