"""What all operations on clusters have in common: how a job starts, runs, ends, and goes on after a crash.

``start_operation`` records a job with everything needed to run it; ``run_operation`` runs a recorded job from wherever
it stands. A first run and a retry are the same call: what an operation does beside the tasks of its plan is looked up
by the job's operation (``STEPS``), so nothing is left out when another process takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx
from prefect import runtime, tags

from coopr_core.errors import Interrupted
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord, NewestJob
from coopr_core.model.states import JobState
from coopr_core.planner import Plan, Schedule
from coopr_core.settings import load_settings
from coopr_core.store import Store
from coopr_core.work.actions import Actions
from coopr_core.work.job.context import JobContext
from coopr_core.work.passwords import forget_secrets
from flows.announcing import announced
from flows.engine.context import claimed_job
from flows.job import run_job
from flows.outage import ServerGone
from flows.report import publish_cluster, summarize
from flows.run_links import close_latecomers, remember_run
from flows.vault import VAULT

if TYPE_CHECKING:
    from coopr_core.store.cluster_change import ClusterChange


@dataclass(frozen=True, slots=True)
class Ending:
    """What the last step of an operation works with. ``actions`` knows provider and sessions."""

    store: Store
    cluster: ClusterRecord
    job: JobRecord
    parameters: JobParameters
    actions: Actions


@dataclass(frozen=True, slots=True)
class Steps:
    """What an operation is beside its tasks.

    ``at_last`` runs when every task has succeeded, before the job counts as done; it may run again after a crash.
    """

    at_last: Callable[[Ending], None] | None = None


STEPS: Mapping[Operation, str] = {
    Operation.CLUSTER_DELETE: "flows.deletion:STEPS",
}
"""Where the ``Steps`` of an operation are, ``module:name``; an operation that is not here is its tasks alone."""


def steps_of(operation: Operation) -> Steps:
    """What the operation does beside its tasks."""
    if operation not in STEPS:
        return Steps()
    module, _, name = STEPS[operation].partition(":")
    steps: Steps = getattr(import_module(module), name)
    return steps


def start_operation(
    store: Store,
    cluster: ClusterRecord,
    operation: Operation,
    plan: Plan,
    *,
    schedule: Schedule | None = None,
    max_concurrency: int | None = None,
    values: Mapping[str, Any] | None = None,
    change: ClusterChange | None = None,
    seen: NewestJob | None = None,
    only_expired: bool = False,
) -> JobRecord:
    """Claim the cluster for an operation and record its job so that any process can run it: ``run_operation``.

    ``values`` (JSON, no secrets) are kept for the operation's ``Steps``; ``change``, ``seen`` and ``only_expired`` are
    those of ``Store.start_job``. Raises ``Busy``, ``Overtaken`` or ``Refused``.
    """
    return store.start_job(
        cluster.id,
        operation,
        plan,
        parameters=parameters_of(schedule=schedule, max_concurrency=max_concurrency, values=values),
        change=change,
        seen=seen,
        only_expired=only_expired,
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
    store: Store, cluster: ClusterRecord, job: JobRecord, *, max_concurrency: int | None = None
) -> dict[str, Any]:
    """Run what is left of a job that this process holds, to its end in the store; the cluster's summary.

    Start and end are announced. Raises ``TasksFailed``, ``Interrupted``, or what kept the job from running at all.
    """
    with announced(store, cluster, job):
        try:
            url = _run(store, cluster, job, max_concurrency)
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


def _run(store: Store, cluster: ClusterRecord, job: JobRecord, max_concurrency: int | None) -> str:
    """Put together what a job runs with, run it, close it again; the address of its flow run."""
    left = remember_run(store, cluster, job)
    try:
        with tags(f"cluster:{cluster.name}"), claimed_job(store, cluster, job) as context:
            run_job(context, max_concurrency=max_concurrency, finish=_finish(context))
    finally:
        close_latecomers(left - {str(runtime.flow_run.id)})
    return str(runtime.flow_run.ui_url or "")


def _finish(context: JobContext) -> Callable[[], None] | None:
    """Return what the job's operation does at last, ready to be done."""
    at_last = steps_of(context.job.operation).at_last
    if at_last is None:
        return None
    ending = Ending(context.store, context.cluster, context.job, context.parameters, context.actions)
    return lambda: at_last(ending)


def continue_begun() -> dict[str, Any] | None:
    """Go on with the job that this flow run had started before, if it is one that runs again; the cluster's summary."""
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
    max_concurrency: int | None = None,
    seen: NewestJob | None = None,
) -> dict[str, Any]:
    """Run what has not succeeded of a job, with the same ids and values; the cluster's summary.

    A job that has succeeded is one already; one that is only about to pause goes on in the process that runs it.
    ``seen`` is how the job stood when this was asked for. Raises ``Overtaken`` when it does not any more, ``Busy``
    while it is running, ``Refused`` when it cannot be resumed.
    """
    if job.state is not JobState.SUCCEEDED and not store.unpause_job(job.id):
        resumed = store.resume_job(job.id, seen=seen)
        return run_operation(store, cluster, resumed, max_concurrency=max_concurrency)
    return summarize(store, cluster, job.id, "")
