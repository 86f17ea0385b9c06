"""What all operations on clusters have in common: how a job starts, runs, ends, and goes on after a crash.

``start_operation`` records a job with everything needed to run it; ``run_operation`` runs a recorded job from wherever
it stands. A first run and a retry are the same call: what an operation does beside the tasks of its plan is looked up
by the job's operation (its declaration), so nothing is left out when another process takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from prefect import runtime, tags

from coopr_core.errors import Interrupted
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord, NewestJob
from coopr_core.model.states import JobState
from coopr_core.operations.declaration import Ending
from coopr_core.operations.job import PreparedJob
from coopr_core.operations.registry import declaration_of
from coopr_core.planner import Schedule
from coopr_core.settings import load_settings
from coopr_core.store import Store
from coopr_core.work.job.context import JobContext
from coopr_core.work.passwords import forget_secrets
from flows.announcing import announced
from flows.engine.context import claimed_job
from flows.job import run_job
from flows.outage import ServerGone
from flows.report import publish_cluster, summarize
from flows.run_links import close_latecomers, remember_run
from flows.vault import VAULT


def start_operation(
    store: Store, prepared: PreparedJob, *, schedule: Schedule | None = None, max_concurrency: int | None = None
) -> JobRecord:
    """Claim the cluster for what was prepared and record its job so that any process can run it: ``run_operation``.

    Raises ``Busy``, ``Overtaken`` or ``Refused``.
    """
    return store.start_job(
        prepared.cluster.id,
        prepared.operation,
        prepared.plan,
        parameters=parameters_of(schedule=schedule, max_concurrency=max_concurrency, values=prepared.parameters),
        change=prepared.change,
        seen=prepared.newest,
        only_expired=prepared.only_expired,
        flow_run_id=str(runtime.flow_run.id or ""),
    )


def parameters_of(
    *,
    schedule: Schedule | None = None,
    max_concurrency: int | None = None,
    values: Mapping[str, Any] | None = None,
    named: str = "",
) -> JobParameters:
    """Return what a job keeps beside its plan so that it can be run by any process, later; nothing in it is secret.

    How it runs is as the settings say where the caller does not: later tries of the job run alike.
    """
    settings = load_settings()
    return JobParameters.of(
        values or {},
        schedule=schedule or settings.schedule,
        max_concurrency=max_concurrency or settings.max_concurrency,
        named=named,
    )


def run_operation(
    store: Store,
    cluster: ClusterRecord,
    job: JobRecord,
    *,
    schedule: Schedule | None = None,
    max_concurrency: int | None = None,
) -> dict[str, Any]:
    """Run what is left of a job that this process holds, to its end in the store; return the cluster's summary.

    Start and end are announced. Raises ``TasksFailed``, ``Interrupted``, or what kept the job from running at all.
    """
    with announced(store, cluster, job):
        try:
            url = _run(store, cluster, job, schedule, max_concurrency)
        except BaseException as error:
            if store.job_state(job.id) in (JobState.RUNNING, JobState.ABORTING):
                stopped = isinstance(error, Interrupted | httpx.HTTPError | ServerGone) or not isinstance(
                    error, Exception
                )
                state = JobState.INTERRUPTED if stopped else JobState.FAILED
                store.finish_job(job.id, state, f"it could not run: {error}")
            if job.operation is Operation.CLUSTER_CREATE and store.job_state(job.id) is JobState.ROLLED_BACK:
                forget_secrets(store, VAULT, cluster.id)
            raise
    summary = summarize(store, cluster, job.id, url)
    publish_cluster(store, summary)
    return summary


def _run(
    store: Store, cluster: ClusterRecord, job: JobRecord, schedule: Schedule | None, max_concurrency: int | None
) -> str:
    """Put together what a job runs with, run it, close it again; return the address of its flow run."""
    left = remember_run(store, cluster, job)
    try:
        with tags(f"cluster:{cluster.name}"), claimed_job(store, cluster, job) as context:
            run_job(context, schedule=schedule, max_concurrency=max_concurrency, finish=_finish(context))
    finally:
        close_latecomers(left - {str(runtime.flow_run.id)})
    return str(runtime.flow_run.ui_url or "")


def _finish(context: JobContext) -> Callable[[], None] | None:
    """Return what the job's operation does at last, ready to be done."""
    finish = declaration_of(context.job.operation).finish
    if finish is None:
        return None
    store, cluster = context.store, context.cluster
    ending = Ending(
        store,
        cluster,
        context.parameters,
        context.actions.machines,
        forget_secrets=lambda: forget_secrets(store, VAULT, cluster.id),
    )
    return lambda: finish(ending)


def continue_begun() -> dict[str, Any] | None:
    """Go on with the job that this flow run had begun, if it is one that runs again; return the cluster's summary."""
    run_id = runtime.flow_run.id
    if not run_id or runtime.flow_run.run_count < 2:
        return None
    with Store.open() as store:
        job = store.job_of_flow_run(str(run_id))
        return None if job is None else continue_job(store, store.cluster_with_id(job.cluster_id), job)


def continue_job(
    store: Store,
    cluster: ClusterRecord,
    job: JobRecord,
    *,
    schedule: Schedule | None = None,
    max_concurrency: int | None = None,
    seen: NewestJob | None = None,
) -> dict[str, Any]:
    """Run what has not succeeded of a job, with the same ids and values; return the cluster's summary.

    A job that has succeeded is one already; one that is only about to pause goes on in the process that runs it.
    ``seen`` is how the job stood when this was asked for. Raises ``Overtaken`` when it does not any more, ``Busy``
    while it is running, ``Refused`` when it cannot be resumed.
    """
    if job.state is not JobState.SUCCEEDED and not store.unpause_job(job.id):
        resumed = store.resume_job(job.id, seen=seen)
        return run_operation(store, cluster, resumed, schedule=schedule, max_concurrency=max_concurrency)
    return summarize(store, cluster, job.id, "")
