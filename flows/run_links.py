"""A job and its flow run know each other; what a killed process left open of either is closed."""

from __future__ import annotations

import contextlib
import itertools
from uuid import UUID

import httpx
from prefect import runtime
from prefect.client.orchestration import get_client

from coopr_core.model.records import ClusterRecord, JobRecord
from coopr_core.store import Store
from flows.belonging import tag_of
from flows.left_runs import close_runs, left_by


def remember_run(store: Store, cluster: ClusterRecord, job: JobRecord) -> set[str]:
    """Let either side lead to the other: the job knows its flow run, the flow run is tagged with cluster and job.

    Closes what a killed process left open; those flow runs.
    """
    left: set[str] = set()
    run_id = runtime.flow_run.id
    if run_id:
        store.set_flow_run(job.id, str(run_id))
        own = {f"cluster:{cluster.name}", f"job:{job.id}", tag_of(store)}
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(UUID(str(run_id)), tags={*runtime.flow_run.tags, *own})
            left = _left(store, job, str(run_id))
            close_runs(client, left, str(run_id))
    return left


def close_latecomers(left: set[str]) -> None:
    """Close what the server heard of a killed process only after we had looked."""
    if left:
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            close_runs(client, left, str(runtime.flow_run.id))


def _left(store: Store, job: JobRecord, own: str) -> set[str]:
    """Return the flow runs that a process which is gone may have left open.

    In its first run a job's own is none of them.
    """
    earlier = list(itertools.takewhile(lambda each: each.id != job.id, store.jobs(job.cluster_id)))
    left = left_by(job, earlier[-1] if earlier else None)
    return left if runtime.flow_run.run_count > 1 else left - {own}
