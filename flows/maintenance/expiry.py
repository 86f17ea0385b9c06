"""The flow ``reap-expired``: deletes the clusters whose lease has run out, and warns of leases that soon will.

Promise (rule D13): every expired cluster that is not protected is deleted, each on its own: one that cannot be deleted
now, whatever state it is in, hinders no other and is tried again by the next run. Whether a lease has run out is looked
at once more in the transaction that starts the deletion. One warning is given per lease, however often this runs.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State

from coopr_core.durations import parse_duration
from coopr_core.errors import Busy, Refused, TasksFailed
from coopr_core.maintenance.leases import find_expired
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.announcing import LEASE_EXPIRING, Announcer
from flows.cluster_flow import cluster_flow
from flows.engine.run_log import Emit, flow_run_emitter
from flows.parameters import Confirmed, MaxConcurrency, Schedule, Tenant


@cluster_flow("reap-expired", "reap-expired")
def reap_expired(
    tenant: Tenant = None,
    warn_before: int | str | None = None,
    schedule: Schedule = None,
    max_concurrency: MaxConcurrency = None,
    confirmed: Confirmed = "",
) -> dict[str, Any]:
    """Delete every cluster whose lease has run out, and warn of those whose lease soon will.

    Args:
        tenant: Whose clusters; those of all tenants when left out.
        warn_before: How long before the end of a lease to warn, such as 2h or 7d; 0 is not at all. The setting
            lease_warning when left out.

    Returns:
        What was deleted, skipped (protected, busy, extended meanwhile) and warned of; a deletion that failed raises.
    """
    say = flow_run_emitter()
    lead = parse_duration(load_settings().lease_warning if warn_before is None else warn_before)
    with Store.open() as store:
        expired = find_expired(store, tenant)
        expired.check(confirmed)
        warned = _warn(store, tenant, datetime.now(UTC) + timedelta(milliseconds=lead), say) if lead else []
        found: dict[str, list[dict[str, str]]] = {"deleted": [], "skipped": [], "failed": [], "warned": warned}
        for cluster, _ in expired.clusters:
            verdict, reason = _reap(store, cluster, schedule=schedule, max_concurrency=max_concurrency)
            found[verdict].append(_entry(cluster, reason))
            level = logging.ERROR if verdict == "failed" else logging.INFO
            say(level, f"{verdict} {cluster.name} ({cluster.id}), expired {cluster.expires_at}: {reason}".rstrip(": "))
    if failed := found["failed"]:
        lines = [f"{each['name']} ({each['cluster_id']}): {each['reason']}" for each in failed]
        raise TasksFailed(
            f"{len(failed)} of {len(expired.clusters)} expired clusters could not be deleted\n" + "\n".join(lines),
            hint="the next run tries again; `coopr logs CLUSTER` tells more",
        )
    return found


def _reap(store: Store, cluster: ClusterRecord, **run: Any) -> tuple[str, str]:
    """Delete one expired cluster, the job ``run`` so; return what became of it, and why."""
    if cluster.protected:
        return "skipped", "it is protected"
    if cluster.state is ClusterState.PENDING and not store.end_abandoned_job(cluster.id):
        return "skipped", "a job is running on it"
    from flows import delete_cluster

    state: State[Any] = delete_cluster(
        cluster.id,
        tenant=cluster.tenant,
        only_expired=True,
        return_state=True,
        **run,
    )
    if state.is_completed():
        return "deleted", ""
    if isinstance(error := state.result(raise_on_failure=False), Busy | Refused):
        return "skipped", str(error)
    return "failed", state.message or str(state.type)


def _warn(store: Store, tenant: str | None, before: datetime, say: Emit) -> list[dict[str, str]]:
    """Tell, once, of each lease that ends before then."""
    warned = []
    with Announcer() as tell:
        for cluster in store.expiring_unwarned(before):
            if tenant in (None, cluster.tenant) and store.claim_warning(cluster):
                reason = (
                    f"its lease ends at {cluster.expires_at:%F %T} UTC; `coopr extend {cluster.handle}` prolongs it"
                )
                say(logging.WARNING, f"cluster {cluster.name} ({cluster.id}) will be deleted: {reason}")
                tell(LEASE_EXPIRING, store, cluster)
                warned.append(_entry(cluster, reason))
    return warned


def _entry(cluster: ClusterRecord, reason: str) -> dict[str, str]:
    return {"cluster_id": cluster.id, "name": cluster.name, "tenant": cluster.tenant, "reason": reason}
