"""What a running job knows of its cluster: nodes and their machines as they are now, and what macros stand for.

Kept in memory, because the one running job is the only one to change it; every change is in the store first, and
``refresh`` sees those of the job's other processes. What tasks are told of the cluster is made once for all of them: a
task costs a look-up, a change of a node a copy of one map, whatever the number of nodes. Safe to use from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from coopr_core.automators.context import SeenNodes
from coopr_core.catalog.entities import Service
from coopr_core.errors import CooprError
from coopr_core.macros import MacroContext, expand
from coopr_core.macros.checks import uses
from coopr_core.model.placement import Alternative
from coopr_core.model.records import ClusterRecord, NodeRecord
from coopr_core.model.states import NodeState
from coopr_core.operations.links import macro_nodes
from coopr_core.providers.contract import Machine
from coopr_core.work.membership import Membership

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.store import Store


@dataclass
class _View:
    """The cluster as some of its nodes see it, without ``hidden``; what is given out of it never changes."""

    hidden: frozenset[int]
    seen: SeenNodes
    macros: MacroContext | None = None
    configs: dict[int | None, Mapping[str, Any]] = field(default_factory=dict)

    def change(self, before: NodeRecord, after: NodeRecord) -> None:
        """Take note of a node's change."""
        if after.number in self.hidden:
            return
        self.seen = SeenNodes({**self.seen.properties, str(after.number): _described(after)})
        if before.addresses != after.addresses:
            self.macros, self.configs = None, {}


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
        self._views: dict[frozenset[int], _View] = {}
        self._config_is_shared = not any(use.is_own for use in uses(layout.config))

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

    def refresh(self, given_up: Collection[int] = ()) -> None:
        """Look what other processes of the job have changed; they go on without the nodes ``given_up``."""
        with self._lock:
            for record in self.store.nodes(self.cluster.id):
                if record != self._nodes.get(record.number):
                    self._change(record)
            if not self.membership.given_up.issuperset(given_up):
                self.membership.given_up.update(given_up)
                self._views.clear()

    def record_machine(self, number: int, machine: Machine | None, state: NodeState) -> None:
        """Record the node's machine, or that it has none, in the store and here."""
        json = machine.to_json() if machine is not None else None
        record = self.store.record_machine(self.cluster.id, number, json, state)
        with self._lock:
            self._change(record)

    def place_elsewhere(self, number: int, other: Alternative) -> None:
        """Record that the node's machine is to be made in another place. Raises ``OverQuota``."""
        record = self.store.place_elsewhere(self.cluster.id, number, other)
        with self._lock:
            self._change(record)

    def record_properties(self, number: int, properties: Mapping[str, Any]) -> None:
        """Record what a task has told of the node, in the store and here."""
        self.store.record_properties(self.cluster.id, number, properties)
        with self._lock:
            node = self._nodes[number]
            self._change(replace(node, properties={**node.properties, **properties}))

    def services_of(self, number: int) -> list[Service]:
        """Return the node's services in name order."""
        return [self.layout.services[name] for name in sorted(self._nodes[number].services)]

    def leaving_with(self, service: str, number: int) -> list[str]:
        """Return the host names of the leaving nodes with ``service``, for one of them; none for a node that stays."""
        with self._lock:
            return self.membership.leaving_with(service, number, self._nodes.values())

    def seen(self, number: int) -> SeenNodes:
        """Return what node ``number`` is told of the nodes: one value, never changing, for all told the same."""
        with self._lock:
            return self._view(number).seen

    def macros(self, number: int) -> MacroContext:
        """Return what macros stand for on a node, worked out once for all that see the same nodes."""
        with self._lock:
            return self._macros(self._view(number)).at(number)

    def config(self, number: int) -> Mapping[str, Any]:
        """Return the config as the node gets it, expanded once for all unless it speaks of the node itself; read only.

        Raises ``UnresolvedMacro``.
        """
        key = None if self._config_is_shared else number
        with self._lock:
            view = self._view(number)
            known, macros = view.configs.get(key), self._macros(view)
        if known is not None:
            return known
        config: Mapping[str, Any] = expand(dict(self.layout.config), macros.at(number), path="config")
        with self._lock:
            if view.macros is macros:
                view.configs[key] = config
        return config

    def _view(self, number: int) -> _View:
        hidden = self.membership.hidden_from(number)
        if hidden not in self._views:
            seen = (node for node in self._nodes.values() if node.number not in hidden)
            self._views[hidden] = _View(hidden, SeenNodes({str(node.number): _described(node) for node in seen}))
        return self._views[hidden]

    def _macros(self, view: _View) -> MacroContext:
        if view.macros is None:
            nodes = macro_nodes(node for node in self._nodes.values() if node.number not in view.hidden)
            view.macros = MacroContext(
                owner=self.cluster.owner, nodes=nodes, secret=self._secret, config=self.layout.config
            )
        return view.macros

    def _change(self, record: NodeRecord) -> None:
        before = self._nodes[record.number]
        self._nodes[record.number] = record
        for view in self._views.values():
            view.change(before, record)

    def leave_out(self, number: int) -> None:
        """Go on without the node: no other one is told of it any more."""
        with self._lock:
            self.membership.given_up.add(number)
            self._views.clear()

    def may_lose(self, number: int, least: int) -> bool:
        """Tell whether the job made the node, and ``least`` others with the same services are left without it."""
        with self._lock:
            node = self._nodes[number]
            gone = {*self.membership.given_up, *self.membership.leaving, number}
            alike = [n for n in self._nodes.values() if n.services == node.services and n.number not in gone]
            return number in self.membership.created and len(alike) >= least


def _described(node: NodeRecord) -> Mapping[str, Any]:
    return {
        "hostname": node.host_name,
        "nodenum": node.number,
        "ipaddresses": node.addresses,
        "services": list(node.services),
        **node.properties,
    }
