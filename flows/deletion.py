"""The flow ``delete-cluster``: ends everything on a cluster's nodes and deletes its machines, whatever state it is in.

Also machines the store lost sight of are found, by their tag. What is kept is the record that there was a cluster; its
logs go with it unless they are asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coopr_core.folders import known_hosts_of, logs_of
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord, NewestJob
from coopr_core.model.states import ClusterState
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.delete import Removal, prepare_removal
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from coopr_core.work.passwords import forget_secrets
from flows.cluster_flow import cluster_flow
from flows.operation import Ending, Steps, run_operation, start_operation
from flows.report import summarize
from flows.vault import VAULT


@cluster_flow("delete-cluster", "delete-cluster {cluster}")
def delete_cluster(
    cluster: str,
    keep_logs: bool = False,
    tenant: str | None = None,
    only_expired: bool = False,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Delete a cluster with all its machines.

    Args:
        cluster: The cluster's name or id.
        keep_logs: Keep the logs of the cluster's tasks.
        tenant: Whose cluster it is; the setting's tenant when left out.
        only_expired: Delete it only if its lease has run out.
        max_concurrency: How many machines may be deleted at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state and job; a cluster that is deleted already is a success.
    """
    with Store.open() as store:
        found = store.cluster(cluster, tenant=tenant or store.tenant, terminated=True)
        if found.state is ClusterState.TERMINATED:
            return summarize(store, found, "", "")
        with as_confirmed(confirmed):
            removal = prepare_removal(store, found)
            removal.check(confirmed)
            job = _start(store, removal, max_concurrency, {"keep_logs": keep_logs}, only_expired=only_expired)
        return run_operation(store, found, job)


def run_deletion(
    store: Store,
    cluster: ClusterRecord,
    *,
    max_concurrency: int | None,
    values: Mapping[str, Any] | None = None,
    seen: NewestJob | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Claim a living cluster and delete it, inside whatever flow runs; raises what ``run_operation`` raises.

    ``seen`` is its newest job when this was asked for, and ``confirmed``, if it was; that of now when left out.
    """
    removal = prepare_removal(store, cluster)
    with as_confirmed(confirmed):
        job = _start(store, replace(removal, newest=seen or removal.newest), max_concurrency, values or {})
    return run_operation(store, cluster, job)


def _start(
    store: Store,
    removal: Removal,
    max_concurrency: int | None,
    values: Mapping[str, Any],
    *,
    only_expired: bool = False,
) -> JobRecord:
    return start_operation(
        store,
        removal.cluster,
        Operation.CLUSTER_DELETE,
        removal.plan,
        max_concurrency=max_concurrency,
        values=values,
        seen=removal.newest,
        only_expired=only_expired,
    )


def _clear_up(ending: Ending) -> None:
    """Leave nothing but the record that there was a cluster."""
    cluster = ending.cluster
    ending.actions.machines.delete_strays()
    forget_secrets(ending.store, VAULT, cluster.id)
    known_hosts_of(cluster.id).unlink(missing_ok=True)
    if not ending.parameters.keep_logs:
        shutil.rmtree(logs_of(cluster.id), ignore_errors=True)


STEPS = Steps(at_last=_clear_up)
