"""One connection per node, opened on first use and shared by everything that works on the node."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from coopr_core.errors import Interrupted
from coopr_core.remote.connection import Limits
from coopr_core.remote.keys import load_key
from coopr_core.remote.link import Link
from coopr_core.remote.redaction import Redactor
from coopr_core.remote.session import Session

if TYPE_CHECKING:
    import paramiko

    from coopr_core.providers.contract import Machine


class Sessions:
    """The sessions of one job. Safe to use from many threads; use it in a ``with`` block or ``close`` it.

    ``redactor`` knows the secrets that may never come back in output; add to it at any time.
    """

    def __init__(self, key_path: Path, *, redactor: Redactor | None = None, limits: Limits | None = None) -> None:
        self.redactor = redactor or Redactor()
        self._key_path = key_path
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._key_lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._stopping = threading.Event()
        self._key: paramiko.PKey | None = None

    def session(self, machine: Machine) -> Session:
        """The session of a machine; connecting waits for its first use.

        A machine that changed (another address, other host keys) gets a new connection. Raises ``Interrupted`` after
        ``stop``.
        """
        if self._stopping.is_set():
            raise Interrupted("the job's sessions were stopped")
        with self._lock:
            old = self._links.get(machine.token)
            if old is not None and old.machine.to_json() == machine.to_json() and not old.stopped():
                return Session(old)
            link = Link(machine, self._load_key, self._limits, self.redactor, self._stopping)
            self._links[machine.token] = link
        if old is not None:
            old.close()
        return Session(link)

    def _load_key(self) -> paramiko.PKey:
        with self._key_lock:
            if self._key is None:
                self._key = load_key(self._key_path)
            return self._key

    def drop(self, machine: Machine) -> None:
        """Forget the machine's connection, which is gone or about to be."""
        with self._lock:
            link = self._links.pop(machine.token, None)
        if link is not None:
            link.close()

    def stop(self) -> None:
        """End every running command, on the nodes too, and refuse new ones."""
        self._stopping.set()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            links = list(self._links.values())
            self._links.clear()
        for link in links:
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
