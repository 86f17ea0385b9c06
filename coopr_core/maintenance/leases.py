"""The leases of clusters: their terms as changes of them start from, and the clusters whose lease has run out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from coopr_core.model.records import ClusterRecord, NewestJob
from coopr_core.operations.confirmation import Part, Parts, Prepared
from coopr_core.operations.job import OnCluster

if TYPE_CHECKING:
    from coopr_core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(OnCluster):
    """Until when a cluster may live and whether it is protected, as it was at one time."""

    @property
    def parts(self) -> Parts:
        """The cluster, its lease, its protection and how its newest job stands."""
        return {
            **self.origin,
            "the lease": part_of_lease(self.cluster),
            "the protection": Part.of(self.cluster.protected, "on" if self.cluster.protected else "off"),
        }


def part_of_lease(cluster: ClusterRecord) -> Part:
    """Return the end of a cluster's lease."""
    expires = cluster.expires_at
    return Part.of(expires.isoformat() if expires else None, f"until {expires:%F %T} UTC" if expires else "for ever")


def prepare_terms(store: Store, cluster: ClusterRecord) -> Terms:
    """Return the terms of a cluster as they are now."""
    return Terms(cluster=store.cluster_with_id(cluster.id), newest=store.newest_job(cluster.id))


@dataclass(frozen=True, slots=True)
class Expired(Prepared):
    """The clusters whose lease has run out, each with its newest job; those that are protected will be left alone."""

    clusters: tuple[tuple[ClusterRecord, NewestJob], ...]

    @property
    def subject(self) -> str:
        """All of them together."""
        return "the expired clusters"

    @property
    def leaving(self) -> tuple[ClusterRecord, ...]:
        """Those that may be deleted."""
        return tuple(cluster for cluster, _ in self.clusters if not cluster.protected)

    @property
    def parts(self) -> Parts:
        """Each cluster that may be deleted, with its lease and how its newest job stands."""
        return {
            f"cluster {cluster.name} ({cluster.id})": Part.of([part_of_lease(cluster), newest], str(newest))
            for cluster, newest in self.clusters
            if not cluster.protected
        }


def find_expired(store: Store, tenant: str | None) -> Expired:
    """Return the clusters of a tenant, or of all, whose lease has run out by now; the longest expired first."""
    found = store.clusters(tenant=tenant, expired_at=datetime.now(UTC))
    ordered = sorted(found, key=lambda each: (each.expires_at or each.created, each.id))
    return Expired(tuple((cluster, store.newest_job(cluster.id)) for cluster in ordered))
