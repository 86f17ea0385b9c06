"""What a running job knows of its cluster: nodes and their machines as they are now, and what macros stand for.

Kept in memory, because the one running job is the only one to change it; every change is in the store first. Safe to
use from many threads. Never imports Prefect.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coopr_core.catalog.entities import Service
from coopr_core.errors import CooprError
from coopr_core.macros import MacroContext
from coopr_core.model.records import ClusterRecord, NodeRecord
from coopr_core.model.states import NodeState
from coopr_core.operations.links import macro_nodes
from coopr_core.providers.contract import Machine
from coopr_core.work.membership import Membership

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.store import Store


class ClusterPicture:
    """The cluster of one job, as its tasks see it."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterRecord,
        layout: ClusterLayout,
        membership: Membership,
        secret: Callable[[str], str] | None = None,
    ) -> None:
        self.store = store
        self.cluster = cluster
        self.layout = layout
        self.membership = membership
        self._secret = secret
        self._lock = threading.Lock()
        self._nodes = {node.number: node for node in store.nodes(cluster.id)}
        self._contexts: dict[bool, MacroContext] = {}

    @property
    def nodes(self) -> Mapping[int, NodeRecord]:
        """The nodes by number."""
        return self._nodes

    def node(self, number: int) -> NodeRecord:
        """Return the node as it is now."""
        return self._nodes[number]

    def machine(self, number: int) -> Machine:
        """Return the node's machine. Raises ``CooprError`` when it has none."""
        machine = self._nodes[number].machine
        if machine is None:
            raise CooprError(f"node {number} has no machine", hint=f"`coopr delete {self.cluster.id}`, create again")
        return Machine.from_json(machine)

    def record_machine(self, number: int, machine: Machine | None, state: NodeState) -> None:
        """Record the node's machine, or that it has none, in the store and here."""
        json = machine.to_json() if machine is not None else None
        record = self.store.record_machine(self.cluster.id, number, json, state)
        with self._lock:
            self._nodes[number] = record
            self._contexts.clear()

    def record_properties(self, number: int, properties: Mapping[str, Any]) -> None:
        """Record what a task has told of the node, in the store and here."""
        self.store.record_properties(self.cluster.id, number, properties)
        with self._lock:
            node = self._nodes[number]
            self._nodes[number] = replace(node, properties={**node.properties, **properties})

    def services_of(self, number: int) -> list[Service]:
        """Return the node's services in name order."""
        return [self.layout.services[name] for name in sorted(self._nodes[number].services)]

    def seen_from(self, number: int) -> list[NodeRecord]:
        """Return the nodes of the cluster as node ``number`` is to know them."""
        with self._lock:
            return self.membership.seen_from(number, self._nodes.values())

    def macros(self, number: int) -> MacroContext:
        """Return what macros stand for on a node, worked out once for all that stay until a machine changes."""
        leaves = number in self.membership.leaving
        with self._lock:
            if leaves not in self._contexts:
                nodes = macro_nodes(self.membership.seen_from(number, self._nodes.values()))
                self._contexts[leaves] = MacroContext(
                    owner=self.cluster.owner, nodes=nodes, secret=self._secret, config=self.layout.config
                )
            return self._contexts[leaves].at(number)

    def leave_out(self, number: int) -> None:
        """Go on without the node: no other one is told of it any more."""
        with self._lock:
            self.membership.given_up.add(number)
            self._contexts.clear()

    def may_lose(self, number: int, least: int) -> bool:
        """Tell whether the job made the node, and ``least`` others with the same services are left without it."""
        with self._lock:
            node = self._nodes[number]
            gone = {*self.membership.given_up, *self.membership.leaving, number}
            alike = [n for n in self._nodes.values() if n.services == node.services and n.number not in gone]
            return number in self.membership.created and len(alike) >= least
