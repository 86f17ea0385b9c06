"""The Prefect task that every task of a plan runs as: named by what it does, tagged, tried again by Prefect.

A task run is handed ids, never objects or secrets; the job it belongs to is looked up among those this process runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Protocol

import httpx
from prefect import Task as PrefectTask
from prefect import task as prefect_task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.context import TaskRunContext
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from coopr_core.errors import CooprError
from coopr_core.work.attempts import TaskFailed

RETRY_SECONDS = 2
"""The first retry comes after about this long, the next after twice that, each with jitter."""


class Trying(Protocol):
    """A job that this process runs."""

    def attempt(self, task_id: str, run: TaskRun) -> None:
        """Try a task once, in its own thread and task run."""
        ...


_running: dict[str, Trying] = {}


@contextlib.contextmanager
def running(job_id: str, job: Trying) -> Iterator[None]:
    """While inside, task runs of the job find it."""
    _running[job_id] = job
    try:
        yield
    finally:
        _running.pop(job_id, None)


@prefect_task(
    name="cluster task",
    task_run_name="{title}",
    persist_result=False,
    cache_policy=NO_CACHE,
    log_prints=False,
)
def cluster_task(task_id: str, title: str) -> None:
    """Try one task of the job once; Prefect tries again."""
    context = TaskRunContext.get()
    if context is None:
        raise CooprError(f"task {task_id} can only run inside its flow")
    _running[task_id.rpartition("-")[0]].attempt(task_id, context.task_run)


def submit(
    runner: ThreadPoolTaskRunner[Any], task_id: str, title: str, tags: tuple[str, ...], tries: int
) -> Future[Any]:
    """Start a task run; its future ends with the state that the last try left."""
    future = runner.submit(_variant(tries - 1, tags), {"task_id": task_id, "title": title})
    return future.wrapped_future


def is_server_trouble(future: Future[Any]) -> bool:
    """Whether a task run failed because of the Prefect server, not of what it was to do."""
    try:
        error = getattr(future.result(timeout=0), "data", None)
    except Exception as raised:  # noqa: BLE001 - the edge to Prefect's engine, whose own failure is looked at
        error = raised
    return isinstance(error, httpx.HTTPError | ConcurrencySlotAcquisitionError)


@lru_cache(maxsize=512)
def _variant(retries: int, tags: tuple[str, ...]) -> PrefectTask[[str, str], None]:
    """The task with these tags; tasks of one stage and action share theirs."""
    return cluster_task.with_options(
        tags=list(tags),
        retries=retries,
        retry_delay_seconds=exponential_backoff(RETRY_SECONDS) if retries else 0,
        retry_jitter_factor=0.5,
        retry_condition_fn=_retry_makes_sense,
    )


def _retry_makes_sense(task: PrefectTask[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, TaskFailed) and state.data.again
