"""The flows ``extend-lease`` and ``protect-cluster``: in Prefect what the command does with the record alone."""

from __future__ import annotations

from typing import Any

from coopr_core.maintenance.leases import prepare_terms
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.parameters import Confirmed, Tenant
from flows.report import summarize


@cluster_flow("extend-lease", "extend-lease {cluster}")
def extend_lease(
    cluster: str, duration: int | str | None = None, tenant: Tenant = None, confirmed: Confirmed = ""
) -> dict[str, Any]:
    """Let a cluster live longer.

    Args:
        cluster: The cluster's name or id.
        duration: By how much, such as 2h or 7d; 0 is for ever. The step of the cluster's template when left out.

    Returns:
        The cluster's id, name, state and the new end of its lease.
    """
    with Store.open() as store:
        found = _confirmed(store, cluster, tenant, confirmed)
        return summarize(store, store.extend_lease(found, duration), "", "")


@cluster_flow("protect-cluster", "protect-cluster {cluster}")
def protect_cluster(
    cluster: str, protected: bool = True, tenant: Tenant = None, confirmed: Confirmed = ""
) -> dict[str, Any]:
    """Guard a cluster against deletion, also when its lease runs out, or lift that.

    Args:
        cluster: The cluster's name or id.
        protected: Whether it is to be guarded.

    Returns:
        The cluster's id, name, state and the end of its lease.
    """
    with Store.open() as store:
        found = _confirmed(store, cluster, tenant, confirmed)
        return summarize(store, store.set_protected(found, protected), "", "")


def _confirmed(store: Store, cluster: str, tenant: str | None, confirmed: str) -> str:
    """Return the id of the cluster that is meant. Raises ``Refused`` when its terms are not as they were confirmed."""
    with as_confirmed(confirmed):
        found = store.cluster(cluster, tenant=tenant or store.tenant)
        prepare_terms(store, found).check(confirmed)
    return found.id
