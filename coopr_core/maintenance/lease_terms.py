"""A cluster's terms of life, its lease and its protection, as changes of them start from; never imports Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coopr_core.model.records import ClusterRecord, NewestJob
from coopr_core.operations.confirmation import Part, Parts, Prepared, called, cluster_parts

if TYPE_CHECKING:
    from coopr_core.store import Store


@dataclass(frozen=True, slots=True)
class Terms(Prepared):
    """Until when a cluster may live and whether it is protected, as it was at one time."""

    cluster: ClusterRecord
    newest: NewestJob

    @property
    def subject(self) -> str:
        """The cluster."""
        return called(self.cluster)

    @property
    def parts(self) -> Parts:
        """The cluster, its lease, its protection and how its newest job stands."""
        return {
            **cluster_parts(self.cluster, self.newest),
            "the lease": part_of_lease(self.cluster),
            "the protection": Part.of(self.cluster.protected, "on" if self.cluster.protected else "off"),
        }


def part_of_lease(cluster: ClusterRecord) -> Part:
    """The end of a cluster's lease."""
    expires = cluster.expires_at
    return Part.of(expires.isoformat() if expires else None, f"until {expires:%F %T} UTC" if expires else "for ever")


def prepare_terms(store: Store, cluster: ClusterRecord) -> Terms:
    """The terms of a cluster as they are now."""
    return Terms(store.cluster_with_id(cluster.id), store.newest_job(cluster.id))
