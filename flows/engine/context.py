"""What this process needs to run tasks of a job: provider, automators, sessions and passwords, opened for that job.

A task run finds all of it by its id alone, in the flow's process as in any other that has the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from prefect import runtime
from prefect.context import FlowRunContext, TaskRunContext
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from coopr_core.automators import load_automator
from coopr_core.errors import CooprError
from coopr_core.folders import logs_of
from coopr_core.model.courses import MACHINE_ACTIONS, Action
from coopr_core.model.ids import parse_task_id
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.records import ClusterRecord, JobRecord, TaskRecord
from coopr_core.model.states import TaskState
from coopr_core.providers.credentials import cluster_clouds
from coopr_core.providers.host_keys import seed_of
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.keys import authorized_key, client_key
from coopr_core.remote.redaction import Redactor
from coopr_core.store import Store
from coopr_core.work.actions import Actions
from coopr_core.work.job.context import Contexts, JobContext
from coopr_core.work.membership import Membership
from coopr_core.work.passwords import asks_for_secrets, open_secrets
from flows.engine.run_log import task_run_emitter
from flows.vault import VAULT


def attempt(task_id: str) -> None:
    """Try a task once, inside its task run. Raises what ``Attempts.run`` raises."""
    run = TaskRunContext.get()
    if run is None:
        raise CooprError(f"task {task_id} can only run inside its flow")
    may_retry = run.task_run.run_count <= run.task.retries
    with _context_of(task_id) as context:
        context.attempt(task_id, run_id=str(run.task_run.id), may_retry=may_retry, emit=task_run_emitter())


def task_run_name(parameters: dict[str, Any]) -> str:
    """Return the name of a task's run: what it does, and where."""
    task_id: str = parameters["task_id"]
    try:
        with _context_of(task_id) as context:
            return context.titles[task_id]
    except CooprError:  # the attempt itself tells what is wrong
        return f"task {task_id}"


@contextlib.contextmanager
def claimed_job(store: Store, cluster: ClusterRecord, job: JobRecord) -> Iterator[JobContext]:
    """While inside, tasks of the job that this process has claimed find what they need."""
    alone = isinstance(flow_task_runner(), ThreadPoolTaskRunner)
    with (
        _context(store, cluster, job, owner=True, alone=alone) as context,
        _contexts.owned(context, str(runtime.flow_run.id)),
    ):
        yield context


def flow_task_runner() -> TaskRunner[Any]:
    """Return the task runner of the flow we are in."""
    context = FlowRunContext.get()
    if context is None:
        raise CooprError("a job can only run inside a flow")
    return context.task_runner


def is_deployed() -> bool:
    """Tell whether a deployment made the flow run we are in; a server that is gone cannot say so, and none did then."""
    try:
        return bool(runtime.deployment.id)
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def _opened(job_id: str) -> Iterator[JobContext]:
    """Give the context of a job that another process has claimed."""
    with Store.open() as store:
        job = store.job(job_id)
        cluster = store.cluster_with_id(job.cluster_id)
        with _context(store, cluster, job, owner=False, alone=False) as context:
            yield context


_contexts = Contexts(_opened)


def _context_of(task_id: str) -> AbstractContextManager[JobContext]:
    """Give the context for a task, inside its task run."""
    run = TaskRunContext.get()
    return _contexts.using(parse_task_id(task_id)[0], str(run.task_run.flow_run_id) if run else "")


@contextlib.contextmanager
def _context(store: Store, cluster: ClusterRecord, job: JobRecord, *, owner: bool, alone: bool) -> Iterator[JobContext]:
    parameters = store.job_parameters(job.id)
    tasks = {task.id: task for task in store.tasks(job.id)}
    key = client_key(cluster, VAULT)
    with NodeAccess(key, redactor=Redactor()) as access:
        context = JobContext(
            store=store,
            cluster=cluster,
            job=job,
            actions=_actions(store, cluster, job, parameters, tasks.values(), access, key),
            access=access,
            logs=logs_of(cluster.id),
            parameters=parameters,
            tasks=tasks,
            owner=owner,
            alone=alone,
        )
        yield context
        context.actions.settle()


def _actions(
    store: Store,
    cluster: ClusterRecord,
    job: JobRecord,
    parameters: JobParameters,
    tasks: Collection[TaskRecord],
    access: NodeAccess,
    key: Path,
) -> Actions:
    layout = store.layout(cluster.id)
    used: list[str] = []
    secret = None
    if any(task.action not in MACHINE_ACTIONS for task in tasks):
        used = sorted({a.type for service in layout.services.values() for a in service.actions.values()})
        secret = open_secrets(store, VAULT, cluster.id, access.redactor.add) if asks_for_secrets(layout) else None
    actions = Actions(
        store=store,
        cluster=replace(cluster, name=parameters.named or cluster.name),
        layout=layout,
        clouds=cluster_clouds(cluster, VAULT, access.redactor.add),
        automators={name: load_automator(name, vault=VAULT, hide=access.redactor.add) for name in used},
        access=access,
        authorized_key=authorized_key(key),
        secret=secret,
        resumed=any(task.attempts for task in tasks),
        membership=Membership.of(job, parameters, tasks),
        host_key_seed=cache(lambda: seed_of(key)),
    )
    if any(task.action == Action.BOOTSTRAP and task.state is not TaskState.SUCCEEDED for task in tasks):
        actions.pack()
    return actions
