"""Resources that are on their way to nodes, while the nodes go on with what does not need them.

Promise: a version travels to a node once at a time, several side by side; who needs one waits for that one alone. One
that did not arrive is known to the next who looks for it on the node, who then brings it again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from coopr_core.automators.resources import archive_of, send
from coopr_core.catalog.entities import Resource

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

_AT_ONCE = 16
"""Resources that travel at the same time from one process."""


class Deliveries:
    """The resources of one job that are under way. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._under_way: dict[tuple[int, str], Future[int]] = {}

    def pack(self, resources: Iterable[Resource]) -> None:
        """Begin to make archives of resources; what cannot be packed is told to who needs it."""
        with self._lock:
            for resource in resources:
                self._pool().submit(archive_of, resource)

    def begin(self, node: int, resources: Iterable[Resource], root: str, session: Session) -> None:
        """Begin to send resources to a node, but for those that are on their way there."""
        with self._lock:
            for resource in resources:
                known = self._under_way.get((node, resource.version))
                if known is None or known.done():
                    self._under_way[node, resource.version] = self._pool().submit(send, resource, root, session)

    def _pool(self) -> ThreadPoolExecutor:
        self._threads = self._threads or ThreadPoolExecutor(_AT_ONCE, "coopr-resources")
        return self._threads

    def waited_for(self, node: int, resources: Iterable[Resource]) -> list[Resource]:
        """Return those of the resources that are still on their way to the node."""
        with self._lock:
            known = [(each, self._under_way.get((node, each.version))) for each in resources]
        return [each for each, future in known if future is not None and not future.done()]

    def check(self, node: int, resources: Iterable[Resource]) -> None:
        """Wait until the resources are on the node, if they are on their way there. Raises what went wrong, once."""
        for resource in resources:
            with self._lock:
                future = self._under_way.get((node, resource.version))
            if future is None:
                continue
            wait([future])
            with self._lock:
                self._under_way.pop((node, resource.version), None)
            future.result()

    def close(self) -> None:
        """Wait until nothing is on its way any more."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
