"""The connection to one machine: opened on first use, opened again when it was lost, shared by all who work there.

A command that may have begun on a lost connection is never begun again here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coopr_core.remote.command import ByteSink, CommandStopped, Execution, NoChannel
from coopr_core.remote.connection import Limits, name_of, open_connection
from coopr_core.remote.redaction import Redactor

if TYPE_CHECKING:
    import paramiko

    from coopr_core.providers.contract import Machine

_CHANNELS = 8
"""Commands at once on one connection; OpenSSH allows 10."""


@dataclass
class Link:
    """The connection to one machine, shared by all sessions that speak to it."""

    machine: Machine
    load_key: Callable[[], paramiko.PKey]
    limits: Limits = field(default_factory=Limits)
    redactor: Redactor = field(default_factory=Redactor)
    all_stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the work on all nodes is to stop."""

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_CHANNELS)
        self._transport: paramiko.Transport | None = None

    @property
    def name(self) -> str:
        """The node as messages name it."""
        return name_of(self.machine)

    def stopped(self) -> bool:
        """Whether commands must end and none may begin."""
        return self.stopping.is_set() or self.all_stopping.is_set()

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
        with self._slots:
            work = self._work()
            try:
                return work.run(command, receive, content=content, end=end, timeout=timeout)
            except NoChannel:
                if not work.lost() or self.stopped():
                    raise
                return self._work().run(command, receive, content=content, end=end, timeout=timeout)

    def _work(self) -> Execution:
        return Execution(self._open(), self.limits, self.name, self.stopped)

    def _open(self) -> paramiko.Transport:
        with self._lock:
            if self.stopped():
                raise CommandStopped(f"stopped the work on {self.name}")
            if self._transport is None or not self._transport.is_active():
                self._transport = open_connection(self.machine, self.load_key(), self.limits)
            return self._transport

    def close(self) -> None:
        """Close the connection; the next command opens a new one."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None
