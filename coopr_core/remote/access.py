"""The one way to the nodes of a cluster: a session per node, its provider asked once about one that does not answer.

All who work on a node share its link, opened on first use; nodes behind the same gateway share the gateway's. Any
number of nodes can be worked on: links that nobody uses are closed. Cost: a thread and an open file per link.
"""

from __future__ import annotations

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from coopr_core.errors import Interrupted, OutcomeUnknown, Unreachable
from coopr_core.remote.endpoint import Endpoint, Limits
from coopr_core.remote.keys import load_key
from coopr_core.remote.link import Link, OpenLinks
from coopr_core.remote.redaction import Redactor
from coopr_core.remote.session import Session

if TYPE_CHECKING:
    import paramiko

    from coopr_core.providers.contract import Machine

N = TypeVar("N")
R = TypeVar("R")

Revive = Callable[["Machine"], "Machine"]
"""Has the provider look at a machine that does not answer, and gives it back usable; raises what the provider does."""

AT_ONCE = 32
"""Nodes worked on at the same time."""

ANSWERS_WITHIN = 120.0
"""How many seconds a machine behind a gateway may take to let us in after its provider has called it ready."""

_PAUSE = 0.5
_OTHER_FILES = 200
_FILES_PER_COMMAND = 2
"""The connection and the log of the task that runs it."""

_MOST_LINKS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Revival:
    """That a machine was revived: as it was, and as it is since."""

    before: Machine
    now: Machine


class NodeAccess:
    """The way to the nodes of one cluster. Safe to use from many threads; use it in a ``with`` block or ``close`` it.

    ``redactor`` knows the secrets that may never come back in output; add to it at any time.
    """

    def __init__(self, key_path: Path, *, redactor: Redactor | None = None, limits: Limits | None = None) -> None:
        self.redactor = redactor or Redactor()
        self._key_path = key_path
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._key_lock = threading.Lock()
        self._open_links = OpenLinks(most_links(), self._limits.idle)
        self._links: dict[str, tuple[Machine, Link]] = {}
        self._gateways: dict[Endpoint, Link] = {}
        self._suspects: set[str] = set()
        self._revivals: dict[str, _Revival] = {}
        self._revival_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._key: paramiko.PKey | None = None

    def session(self, machine: Machine) -> Session:
        """Return the session of a machine; connecting waits for its first use.

        A machine that changed (another address, other host keys) gets a new link. Raises ``Interrupted`` after
        ``stop``, ``Unreachable`` for a machine without an address.
        """
        if self._open_links.stopping.is_set():
            raise Interrupted("the work on the nodes was stopped")
        old: Link | None = None
        with self._lock:
            if known := self._links.get(machine.token):
                before, old = known
                if before.to_json() == machine.to_json() and not old.stopped():
                    return Session(old, machine, self.redactor)
            endpoint = Endpoint.of(machine)
            gateway = self._gateway(endpoint.gateway) if endpoint.gateway else None
            link = Link(endpoint, self._load_key, self._limits, self._open_links, gateway)
            self._links[machine.token] = machine, link
        if old is not None:
            old.close()
        return Session(link, machine, self.redactor)

    def _gateway(self, endpoint: Endpoint) -> Link:
        """Return the link of a gateway, shared by all nodes behind it."""
        if endpoint not in self._gateways:
            self._gateways[endpoint] = Link(endpoint, self._load_key, self._limits, self._open_links)
        return self._gateways[endpoint]

    def _load_key(self) -> paramiko.PKey:
        with self._key_lock:
            if self._key is None:
                self._key = load_key(self._key_path)
            return self._key

    def suspect(self, machine: Machine) -> None:
        """Take note that the machine did not answer, or that nobody knows whether it does."""
        self._suspects.add(machine.token)

    def present(self, machine: Machine, revive: Revive) -> Machine:
        """Return the machine as it can be worked on: one that is suspect is revived first, once for all who ask.

        Raises what ``revive`` does; the machine stays suspect then.
        """
        return self._present(machine, revive)[0]

    def _present(self, machine: Machine, revive: Revive) -> tuple[Machine, _Revival | None]:
        """Return the machine as it can be worked on, and its last revival."""
        with self._lock:
            lock = self._revival_locks[machine.token]
        with lock:
            if machine.token in self._suspects:
                self.drop(machine)
                revived = revive(machine)
                self.wait_behind_gateway(revived)
                with self._lock:
                    self._revivals[machine.token] = _Revival(machine, revived)
                    self._suspects.discard(machine.token)
            revival = self._revivals.get(machine.token)
            return revival.now if revival is not None and revival.before == machine else machine, revival

    def wait_behind_gateway(self, machine: Machine, within: float = ANSWERS_WITHIN) -> None:
        """Wait until a machine behind a gateway lets us in, for its provider cannot see to that as it does for others.

        Whatever else answers in its place meanwhile, such as an image with keys of its own, is waited out too. Raises
        the last ``Unreachable`` after ``within`` seconds, ``Interrupted`` after ``stop``.
        """
        until = time.monotonic() + within
        waiting = machine.gateway is not None
        while waiting:
            try:
                self.session(machine).connect()
                waiting = False
            except Unreachable:
                if time.monotonic() + _PAUSE > until:
                    raise
                self._open_links.stopping.wait(_PAUSE)

    def on(self, machine: Machine, work: Callable[[Session], R], revive: Revive) -> R:
        """Do ``work`` with the machine's session; when it does not answer it is revived, once, and tried again.

        Work that may have begun is never begun again, and a machine with another host key is not the one to revive.
        """
        present, revival = self._present(machine, revive)
        try:
            return work(self.session(present))
        except OutcomeUnknown:
            raise
        except Unreachable as error:
            if error.code != Unreachable.code:
                raise
            with self._lock:
                if self._revivals.get(machine.token) is revival:  # else another has had it revived meanwhile
                    self._suspects.add(machine.token)
            return work(self.session(self.present(machine, revive)))

    def each(self, nodes: Sequence[N], work: Callable[[N], R], at_once: int = AT_ONCE) -> list[R]:
        """Do ``work`` for all nodes, ``at_once`` at a time; give the results in their order.

        What one raises, and an interrupt, ends the work on all of them.
        """
        with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(nodes)))) as threads:
            try:  # around the submitting too: an interrupt then would wait for what runs already
                runs = [threads.submit(work, node) for node in nodes]
                ended, _ = wait(runs, return_when=FIRST_EXCEPTION)
                for run in ended:
                    run.result()
                return [run.result() for run in runs]
            except BaseException:
                self.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def drop(self, machine: Machine) -> None:
        """Forget the machine's link, which is lost or about to be."""
        with self._lock:
            _, link = self._links.pop(machine.token, (None, None))
        if link is not None:
            link.close()

    @property
    def open_links(self) -> int:
        """The number of connections that are open, those to gateways included."""
        return len(self._open_links)

    def stop(self) -> None:
        """End every running command, on the nodes too, and refuse new ones."""
        self._open_links.stopping.set()

    def stopped(self) -> bool:
        """Tell whether ``stop`` was called."""
        return self._open_links.stopping.is_set()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._links.clear()
            self._gateways.clear()
        self._open_links.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def most_links() -> int:
    """Return how many links this process may have open at once, given its limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_LINKS
    return max(8, min(_MOST_LINKS, (soft - _OTHER_FILES) // _FILES_PER_COMMAND))
