"""The connection to one server: opened on first use, opened again when it was lost, shared by all who work there.

A command that may have begun on a lost connection is never begun again here. Links that nobody uses are closed, those
that were idle longest first, so that any number of nodes can be worked on within a process's limit of open files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coopr_core.errors import Unreachable
from coopr_core.remote.command import ByteSink, CommandStopped, ConnectionGone, Execution
from coopr_core.remote.endpoint import Endpoint, Limits

if TYPE_CHECKING:
    import fabric
    import paramiko

CHANNELS = 8
"""Commands at once on one connection; OpenSSH allows 10."""

_TICK = 0.2


class Link:
    """The connection to one server. Safe to use from many threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        load_key: Callable[[], paramiko.PKey],
        limits: Limits,
        open_links: OpenLinks,
        gateway: Link | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.stopping = threading.Event()
        self.used_at = time.monotonic()
        self._load_key = load_key
        self._limits = limits
        self._open_links = open_links
        self._gateway = gateway
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(CHANNELS)
        self._users = 0
        self._connection: fabric.Connection | None = None

    @property
    def name(self) -> str:
        """The server as messages name it."""
        return self.endpoint.name

    def stopped(self) -> bool:
        """Tell whether commands must end and none may begin."""
        return self.stopping.is_set() or self._open_links.stopping.is_set()

    def execute(
        self,
        command: str,
        receive: ByteSink,
        *,
        content: Iterable[bytes] = (),
        end: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Run a command on the connection and give its exit status, see ``Execution.run``."""
        with self._taken(self._slots), self._taken(self._open_links.room), self._in_use():
            work = self._work()
            try:
                return work.run(command, receive, content=content, end=end, timeout=timeout)
            except ConnectionGone:
                self._lose(work.transport)
                return self._work().run(command, receive, content=content, end=end, timeout=timeout)

    def connect(self) -> None:
        """Open the connection unless it is open. Raises ``Unreachable``."""
        with self._in_use():
            self._open()

    def _work(self) -> Execution:
        return Execution(self._open().transport, self._limits, self.name, self.stopped)

    @contextmanager
    def _taken(self, places: threading.Semaphore) -> Iterator[None]:
        """Wait for a place, unless the work is stopped."""
        while not places.acquire(timeout=_TICK):
            self._check()
        try:
            yield
        finally:
            places.release()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._hold(1)
        try:
            yield
        finally:
            self._hold(-1)

    def _hold(self, more: int) -> None:
        """Count who uses the connection: one in use is not idle."""
        with self._lock:
            self._users += more
            self.used_at = time.monotonic()
        if not self._users:
            self._open_links.idle(self)

    def _check(self) -> None:
        if self.stopped():
            raise CommandStopped(f"stopped the work on {self.name}")

    def _open(self) -> fabric.Connection:
        with self._lock:
            self._check()
            connection = self._connection
            if connection is None or not connection.is_connected:
                self._forget()
                connection = self._connection = self._opened()
                self._open_links.add(self)
            return connection

    def _opened(self) -> fabric.Connection:
        if not self.endpoint.address:
            raise Unreachable(f"{self.name} is not reached by SSH", hint="Its provider only simulates machines.")
        if self._gateway is None:
            return self._opened_through(None)
        self._gateway._hold(1)
        try:
            return self._opened_behind(self._gateway)
        except BaseException:
            self._gateway._hold(-1)
            raise

    def _opened_behind(self, gateway: Link) -> fabric.Connection:
        """Return the connection through a gateway, which is connected to again when it turns out to be lost."""
        from coopr_core.remote.connection import GatewayLost

        way = gateway._open()
        try:
            return self._opened_through(way)
        except GatewayLost:
            gateway._lose(way.transport)
            return self._opened_through(gateway._open())

    def _opened_through(self, way: fabric.Connection | None) -> fabric.Connection:
        from coopr_core.remote.connection import make_connection, open_connection

        connection = make_connection(self.endpoint, self._load_key(), self._limits, way)
        open_connection(connection, self.endpoint, self._limits)
        return connection

    def _lose(self, transport: paramiko.Transport) -> None:
        """Take leave of a connection that is gone, which the library may notice later, unless another has its place."""
        with self._lock:
            if self._connection is not None and self._connection.transport is transport:
                self._forget()

    def _forget(self) -> None:
        """Close the connection, if there is one; the caller has the lock."""
        if self._connection is None:
            return
        self._connection.client.close()
        self._connection = None
        self._open_links.discard(self)
        if self._gateway is not None:
            self._gateway._hold(-1)

    def close(self) -> None:
        """Close the connection; the next command opens a new one."""
        with self._lock:
            self._forget()

    def close_idle(self, since: float) -> bool:
        """Close the connection if nobody uses it and nobody did since then; False when it stays open."""
        if not self._lock.acquire(blocking=False):  # it is being opened or closed
            return False
        try:
            if self._users or self.used_at > since:
                return False
            self._forget()
            return True
        finally:
            self._lock.release()


class OpenLinks:
    """The links that are open: few enough for the process's open files, and none for long that nobody uses."""

    def __init__(self, most: int, idle_seconds: float) -> None:
        """``most``: how many connections, and how many commands, are open at once."""
        self.stopping = threading.Event()
        """Set when the work on all nodes is to stop."""
        self.room = threading.Semaphore(most)
        self._most = most
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Link) -> None:
        """Count a link that was opened; those idle longest are closed when there are too many."""
        with self._lock:
            self._links.add(link)
            surplus = len(self._links) - self._most
            others = sorted(self._links - {link}, key=lambda each: each.used_at) if surplus > 0 else []
        for other in others:
            if surplus <= 0:
                return
            surplus -= other.close_idle(time.monotonic())

    def discard(self, link: Link) -> None:
        """Count a link no longer."""
        with self._lock:
            self._links.discard(link)

    def idle(self, link: Link) -> None:
        """Have the link closed after a while, unless somebody uses it again; now when there are too many."""
        with self._lock:
            surplus = len(self._links) > self._most
            if self._timer is None and link in self._links:
                self._start_timer()
        if surplus:
            link.close_idle(time.monotonic())

    def _start_timer(self) -> None:
        self._timer = threading.Timer(self._idle_seconds / 2, self._close_idle)
        self._timer.daemon = True
        self._timer.start()

    def _close_idle(self) -> None:
        since = time.monotonic() - self._idle_seconds
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close_idle(since)
        with self._lock:
            self._timer = None
            if self._links:
                self._start_timer()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            links = list(self._links)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for link in links:
            link.close()
