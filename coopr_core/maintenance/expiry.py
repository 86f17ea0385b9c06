"""The clusters whose lease has run out, found out before any is deleted; never imports Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from coopr_core.maintenance.lease_terms import part_of_lease
from coopr_core.model.records import ClusterRecord, NewestJob
from coopr_core.operations.confirmation import Part, Parts, Prepared

if TYPE_CHECKING:
    from coopr_core.store import Store


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
    """The clusters of a tenant, or of all of them, whose lease has run out by now; the longest expired first."""
    found = store.clusters(tenant=tenant, expired_at=datetime.now(UTC))
    ordered = sorted(found, key=lambda each: (each.expires_at or each.created, each.id))
    return Expired(tuple((cluster, store.newest_job(cluster.id)) for cluster in ordered))
