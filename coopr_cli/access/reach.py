"""Working on many nodes at once: each over its own session, none hidden by another that is lost.

A node that does not answer is looked after once by its provider, which may bring it back (local nodes after a reboot),
and tried again; a command that may have begun is never begun again. When the user interrupts, the commands end on the
nodes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from coopr_cli.reaching import ready_prefect
from coopr_core.errors import NotFound, OutcomeUnknown, Unreachable

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.providers.contract import Machine, Provider
    from coopr_core.remote.pool import Sessions
    from coopr_core.remote.session import Session
    from coopr_core.store import Store

R = TypeVar("R")

AT_ONCE = 32
"""Nodes worked on at the same time."""


class Reach:
    """The way to the nodes of one cluster; made by ``reach``."""

    def __init__(self, cluster: ClusterRecord, sessions: Sessions, provider: Callable[[], Provider]) -> None:
        self.cluster = cluster
        self._sessions = sessions
        self._provider = provider

    def on(self, node: NodeRecord, work: Callable[[Session], R]) -> R:
        """Do ``work`` with the node's session. Raises ``NotFound`` for a node without a machine, ``Unreachable``."""
        machine = machine_of(self.cluster, node)
        try:
            return work(self._sessions.session(machine))
        except OutcomeUnknown:
            raise
        except Unreachable as error:
            if error.code != Unreachable.code:
                raise
            self._sessions.drop(machine)
            return work(self._sessions.session(self._provider().confirm(machine)))

    def each(self, nodes: Sequence[NodeRecord], work: Callable[[NodeRecord], R]) -> list[R]:
        """Do ``work`` for all nodes at once, and give the results in their order; an interrupt ends all of it."""
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(nodes))) as threads:
            try:  # around the submitting too: an interrupt then would wait for what runs already
                runs = [threads.submit(work, node) for node in nodes]
                return [run.result() for run in runs]
            except BaseException:
                self._sessions.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def reach(store: Store, cluster: ClusterRecord) -> Iterator[Reach]:
    """The way to the nodes of a cluster, with the key and the provider it was made with."""
    from functools import cache

    from coopr_core.remote.pool import Sessions
    from flows.runtime import client_key, cluster_provider

    ready_prefect(store, cluster)
    with Sessions(client_key(store, cluster)) as sessions:
        yield Reach(cluster, sessions, cache(lambda: cluster_provider(store, cluster)))


def machine_of(cluster: ClusterRecord, node: NodeRecord) -> Machine:
    """The node's machine. Raises ``NotFound`` when it has none."""
    from coopr_core.providers.contract import Machine

    if not node.machine:
        raise NotFound(
            f"node {node.number} of cluster {cluster.name} has no machine (state {node.state.value})",
            hint=f"`coopr show {cluster.handle}` tells how its nodes are",
        )
    return Machine.from_json(node.machine)
