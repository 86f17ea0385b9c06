"""The flow ``delete-cluster``: ends everything on a cluster's nodes and deletes its machines, whatever state it is in.

Also machines the store lost sight of are found, by their tag. What is kept is the record that there was a cluster; its
logs go with it unless they are asked for.
"""

from __future__ import annotations

import shutil
from typing import Annotated, Any

from pydantic import Field

from coopr_core.cluster.states import ClusterState, Operation
from coopr_core.planner import plan
from coopr_core.store import Store
from flows.engine.actions import Actions
from flows.operation import cluster_flow, run_job
from flows.report import publish_cluster, summarize
from flows.runtime import job_parameters, logs_of, provider_entity
from flows.secrets import forget_secrets


@cluster_flow("delete-cluster", "delete-cluster {cluster}")
def delete_cluster(
    cluster: str,
    keep_logs: bool = False,
    tenant: str | None = None,
    only_expired: bool = False,
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 16,
) -> dict[str, Any]:
    """Delete a cluster with all its machines.

    Args:
        cluster: The cluster's name or id.
        keep_logs: Keep the logs of the cluster's tasks.
        tenant: Whose cluster it is; the setting's tenant when left out.
        only_expired: Delete it only if its lease has run out.
        max_concurrency: How many machines may be deleted at once.

    Returns:
        The cluster's id, name, state and job; a cluster that is deleted already is a success.
    """
    with Store.open() as store:
        found = store.cluster(cluster, tenant=tenant or store.tenant, terminated=True)
        if found.state is ClusterState.TERMINATED:
            return summarize(store, found, "", "")
        deletion = plan("CLUSTER_DELETE", store.layout(found.id))
        first = store.jobs(found.id)
        ssh_key = str(first[0].parameters.get("ssh_key", "")) if first else ""
        parameters = job_parameters(provider_entity(store, found), ssh_key)
        job = store.start_job(
            found.id, Operation.CLUSTER_DELETE, deletion, parameters=parameters, only_expired=only_expired
        )

        def at_last(actions: Actions) -> None:
            actions.delete_strays()
            forget_secrets(found.id)

        url = run_job(
            store,
            found,
            job,
            deletion,
            schedule="stages",
            max_concurrency=max_concurrency,
            on_services=False,
            at_last=at_last,
        )
        if not keep_logs:
            shutil.rmtree(logs_of(found.id), ignore_errors=True)
        summary = summarize(store, found, job.id, url)
    publish_cluster(summary)
    return summary
