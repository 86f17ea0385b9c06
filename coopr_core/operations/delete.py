"""What deleting a cluster would do, found out before anything is touched; never imports Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coopr_core.model.records import ClusterRecord, NewestJob, NodeRecord
from coopr_core.operations.confirmation import (
    Part,
    Parts,
    Prepared,
    called,
    cluster_parts,
    mattering_settings,
    setting_parts,
)

if TYPE_CHECKING:
    from coopr_core.planner import Plan
    from coopr_core.store import Store


@dataclass(frozen=True, slots=True)
class Removal(Prepared):
    """A deletion that may start: the cluster with all its nodes."""

    cluster: ClusterRecord
    newest: NewestJob
    nodes: tuple[NodeRecord, ...]
    plan: Plan
    settings: Mapping[str, Any] = field(default_factory=mattering_settings)

    @property
    def subject(self) -> str:
        """The cluster."""
        return called(self.cluster)

    @property
    def parts(self) -> Parts:
        """The cluster, its nodes with their machines, and how its newest job stands."""
        return {
            **cluster_parts(self.cluster, self.newest),
            "the nodes": part_of_nodes(self.nodes),
            "the plan": Part.of_plan(self.plan),
            **setting_parts(self.settings),
        }


def part_of_nodes(nodes: tuple[NodeRecord, ...]) -> Part:
    """Nodes and the machines they are."""
    machines = [(node.number, node.host_name, node.token, dict(node.machine or {})) for node in nodes]
    return Part.of(machines, f"{len(nodes)} nodes")


def prepare_removal(store: Store, cluster: ClusterRecord) -> Removal:
    """What deleting the cluster would do; whether it may be deleted is for the store to say."""
    from coopr_core.planner import plan

    store.end_abandoned_job(cluster.id)
    newest = store.newest_job(cluster.id)
    return Removal(cluster, newest, tuple(store.nodes(cluster.id)), plan("CLUSTER_DELETE", store.layout(cluster.id)))
