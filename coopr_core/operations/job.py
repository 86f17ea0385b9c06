"""A job that may start on a cluster: which operation, what is planned, what the cluster's newest job was.

Pure values: the command shows them before it asks, the flow runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, NewestJob, NodeRecord
from coopr_core.operations.confirmation import Part, Parts, Prepared, cluster_parts, mattering_settings

if TYPE_CHECKING:
    from coopr_core.planner import Plan
    from coopr_core.store.cluster_change import ClusterChange


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCluster(Prepared):
    """Something that may be done to a cluster; ``newest`` was its newest job when that was found out."""

    cluster: ClusterRecord
    newest: NewestJob

    @property
    def subject(self) -> str:
        """The cluster as people are told of it: ``cluster t7 (00000007)``."""
        return f"cluster {self.cluster.name} ({self.cluster.id})"

    @property
    def origin(self) -> Parts:
        """What it starts from: the cluster, and how its newest job stood."""
        return cluster_parts(self.cluster, self.newest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob(OnCluster):
    """A job that may start.

    ``parameters`` is what it will remember of how it was called (JSON, no secrets), ``settings`` are those that say how
    it runs; ``only_expired``: it may start only if the cluster's lease has run out.
    """

    operation: Operation
    plan: Plan
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=mattering_settings)
    only_expired: bool = False

    @property
    def nothing_to_do(self) -> bool:
        """Whether the cluster is as it is wanted already."""
        return not len(self.plan)

    @property
    def change(self) -> ClusterChange | None:
        """What the store is to write of the cluster with the job."""
        return None


def part_of_nodes(nodes: tuple[NodeRecord, ...]) -> Part:
    """Return nodes and the machines they are as a part."""
    machines = [(node.number, node.host_name, node.token, dict(node.machine or {})) for node in nodes]
    return Part.of(machines, f"{len(nodes)} nodes")
