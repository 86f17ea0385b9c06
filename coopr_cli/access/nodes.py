"""Working on many nodes of a cluster at once: each over its own session, none hidden by another that is lost.

A node that does not answer is looked after once by its provider, which may bring it back (local nodes after a reboot),
and tried again; a command that may have begun is never begun again. When the user interrupts, the commands end on the
nodes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from coopr_cli.vault import ready_prefect
from coopr_core.errors import NotFound

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.providers.contract import Machine
    from coopr_core.remote.access import NodeAccess, Revive
    from coopr_core.remote.session import Session
    from coopr_core.store import Store

R = TypeVar("R")


class ClusterNodes:
    """The nodes of one cluster, to work on; made by ``nodes_of``."""

    def __init__(self, cluster: ClusterRecord, access: NodeAccess, revive: Revive) -> None:
        self._cluster = cluster
        self._access = access
        self._revive = revive

    def on(self, node: NodeRecord, work: Callable[[Session], R]) -> R:
        """Do ``work`` with the node's session. Raises ``NotFound`` for a node without a machine, ``Unreachable``."""
        return self._access.on(machine_of(self._cluster, node), work, self._revive)

    def each(self, nodes: Sequence[NodeRecord], work: Callable[[NodeRecord], R]) -> list[R]:
        """Do ``work`` for all nodes at once, and give the results in their order; an interrupt ends all of it."""
        return self._access.each(nodes, work)


@contextmanager
def nodes_of(store: Store, cluster: ClusterRecord) -> Iterator[ClusterNodes]:
    """Give the way to the nodes of a cluster, with the key and the provider it was made with."""
    from coopr_core.remote.access import NodeAccess
    from coopr_core.remote.keys import client_key
    from flows.vault import VAULT

    ready_prefect(store, cluster)
    with NodeAccess(client_key(cluster, VAULT)) as access:
        yield ClusterNodes(cluster, access, reviver(store, cluster))


def reviver(store: Store, cluster: ClusterRecord) -> Revive:
    """Return what has its provider look after a machine; the provider is made when it is first needed."""
    from functools import cache

    from coopr_core.providers.credentials import cluster_clouds
    from flows.vault import VAULT

    clouds = cache(lambda: cluster_clouds(cluster, VAULT))

    def revive(machine: Machine) -> Machine:
        return clouds()[store.node(cluster.id, machine.node).placement.provider].confirm(machine)

    return revive


def machine_of(cluster: ClusterRecord, node: NodeRecord) -> Machine:
    """Return the node's machine. Raises ``NotFound`` when it has none."""
    from coopr_core.providers.contract import Machine

    if not node.machine:
        raise NotFound(
            f"node {node.number} of cluster {cluster.name} has no machine (state {node.state.value})",
            hint=f"`coopr show {cluster.handle}` tells how its nodes are",
        )
    return Machine.from_json(node.machine)
