"""Resources that are on their way to nodes, while the nodes go on with what does not need them.

Promise: a version travels to a node once at a time, a few side by side, so that channels to the node stay free for its
tasks; who needs one waits for that one alone. One that did not arrive is known to the next who looks for it on the
node, who then brings it again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coopr_core.automators.resources import archive_of, send
from coopr_core.catalog.entities import Resource

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

_AT_ONCE = 16
"""Resources that travel at the same time from one process."""

_PER_NODE = 3
"""Resources that travel at the same time to one node."""


@dataclass
class _Lane:
    """What waits for its turn on the way to one node, and how many are under way."""

    waiting: deque[_Parcel] = field(default_factory=deque)
    moving: int = 0


@dataclass(frozen=True)
class _Parcel:
    node: int
    resource: Resource
    root: str
    session: Session
    arrival: Future[int]


class Deliveries:
    """The resources of one job that are under way. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._lanes: dict[int, _Lane] = {}
        self._arrivals: dict[tuple[int, str], Future[int]] = {}

    def pack(self, resources: Iterable[Resource]) -> None:
        """Begin to make archives of resources; what cannot be packed is told to who needs it."""
        with self._lock:
            for resource in resources:
                self._pool().submit(archive_of, resource)

    def begin(self, node: int, resources: Iterable[Resource], root: str, session: Session) -> None:
        """Begin to send resources to a node, but for those that are on their way there."""
        with self._lock:
            lane = self._lanes.setdefault(node, _Lane())
            for resource in resources:
                known = self._arrivals.get((node, resource.version))
                if known is None or known.done():
                    arrival: Future[int] = Future()
                    self._arrivals[node, resource.version] = arrival
                    lane.waiting.append(_Parcel(node, resource, root, session, arrival))
            self._move(lane)

    def on_the_way(self, node: int, resources: Iterable[Resource]) -> list[Resource]:
        """Return those of the resources that are still on their way to the node."""
        with self._lock:
            known = [(each, self._arrivals.get((node, each.version))) for each in resources]
        return [each for each, arrival in known if arrival is not None and not arrival.done()]

    def check(self, node: int, resources: Iterable[Resource]) -> None:
        """Wait until the resources are on the node, if they are on their way there. Raises what went wrong, once."""
        for resource in resources:
            with self._lock:
                arrival = self._arrivals.get((node, resource.version))
            if arrival is None:
                continue
            wait([arrival])
            with self._lock:
                self._arrivals.pop((node, resource.version), None)
            arrival.result()

    def close(self) -> None:
        """Wait until nothing is on its way any more."""
        with self._lock:
            arrivals = list(self._arrivals.values())
        wait(arrivals)
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()

    def _pool(self) -> ThreadPoolExecutor:
        self._threads = self._threads or ThreadPoolExecutor(_AT_ONCE, "coopr-resources")
        return self._threads

    def _move(self, lane: _Lane) -> None:
        while lane.waiting and lane.moving < _PER_NODE:
            lane.moving += 1
            self._pool().submit(self._send, lane.waiting.popleft(), lane)

    def _send(self, parcel: _Parcel, lane: _Lane) -> None:
        try:
            size = send(parcel.resource, parcel.root, parcel.session)
        except BaseException as error:
            self._moved(lane)
            parcel.arrival.set_exception(error)
            raise
        self._moved(lane)
        parcel.arrival.set_result(size)

    def _moved(self, lane: _Lane) -> None:
        with self._lock:
            lane.moving -= 1
            self._move(lane)
