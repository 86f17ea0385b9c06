"""A job as a dynamic flow: the stages of its plan are walked, and each is mapped to concurrent Prefect task runs.

A task run is named by what it does (``START hadoop-hdfs-namenode @ demo1-1000``), tagged with cluster, job, stage and
action, linked to the task runs it had to wait for, and tried again by Prefect when its error says that this may help.
It is given ids alone, so it runs in any process that has the store: in threads of this one, or wherever the flow's own
task runner puts it. Only the flow submits, and a task only when all it waits for is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import httpx
from prefect import Task as PrefectTask
from prefect import runtime
from prefect import task as prefect_task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun, TaskRunResult
from prefect.context import SyncClientContext
from prefect.task_runners import TaskRunner
from prefect.tasks import exponential_backoff

from coopr_core.planner import Task
from coopr_core.work.attempts import TaskFailed
from coopr_core.work.job.lead import Lead
from coopr_core.work.job.run import JobRun
from flows.engine.context import attempt, task_run_name
from flows.engine.outcome import outcome

MOST_EDGES = 4
"""How many task runs a task run is linked to at most, of those it waited for."""

RETRY_SECONDS = 2
"""The first retry comes after about this long, the next after twice that, each with jitter."""


def run_stages(job: JobRun, runner: TaskRunner[Any], tries: int) -> None:
    """Walk the plan's stages; each task that may start becomes a task run, at once with all others that may.

    With the schedule "dataflow" a task need not wait for the rest of its stage.
    """
    runs: dict[Task, UUID] = {}
    lead = Lead(len(job.plan.tasks), job.context.halt, recorded_task_runs)
    for task in job.ready():
        lead.keep()
        before = [runs[earlier] for earlier in job.plan.predecessors(task, at_most=MOST_EDGES) if earlier in runs]
        run = runner.submit(
            _tagged(_tags(job, task), retries=tries - 1),
            {"task_id": job.record(task).id},
            dependencies=_inputs(before),
        )
        runs[task] = run.task_run_id
        job.started(task, outcome(run))


@prefect_task(
    name="cluster task",
    task_run_name=task_run_name,  # type: ignore[arg-type]  # Prefect's protocol has a class method no function has
    persist_result=False,
    cache_policy=NO_CACHE,
    log_prints=False,
)
def cluster_task(task_id: str) -> None:
    """Try one task of a plan once, in whatever process this is."""
    attempt(task_id)


def recorded_task_runs() -> int | None:
    """Return how many task runs of the flow run we are in the server knows; None when it does not say."""
    wanted = {"flow_runs": {"id": {"any_": [str(runtime.flow_run.id)]}}}
    try:
        with SyncClientContext.get_or_create() as context:
            return int(context.client.request("POST", "/task_runs/count", json=wanted).json())
    except httpx.HTTPError:
        return None


def _tags(job: JobRun, task: Task) -> tuple[str, ...]:
    record = job.record(task)
    cluster = job.context.cluster.name
    return f"cluster:{cluster}", f"job:{record.job_id}", f"stage:{record.stage}", f"action:{task.action}"


@lru_cache(maxsize=512)
def _tagged(tags: tuple[str, ...], retries: int) -> PrefectTask[[str], None]:
    """Return the task with these tags; tasks of one stage and action share theirs."""
    return cluster_task.with_options(
        tags=list(tags),
        retries=retries,
        retry_delay_seconds=exponential_backoff(RETRY_SECONDS) if retries else 0,
        retry_jitter_factor=0.5,
        retry_condition_fn=_retry_makes_sense,
    )


def _retry_makes_sense(task: PrefectTask[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, TaskFailed) and state.data.again


def _inputs(runs: Sequence[UUID]) -> dict[str, set[Any]] | None:
    """Tell Prefect which task runs one waited for; it keeps that by parameter, of which the task has one."""
    return {"task_id": {TaskRunResult(id=run) for run in runs}} if runs else None
