"""What creating and deleting have in common: the parts a job runs with, put together, and closed again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect import Flow, runtime, tags
from prefect.client.orchestration import get_client

from coopr_core.automators import load_automator
from coopr_core.cluster.records import ClusterRecord, JobRecord
from coopr_core.cluster.states import HOLDING, JobState
from coopr_core.planner import Plan, Schedule
from coopr_core.remote.pool import Sessions
from coopr_core.remote.redaction import Redactor
from coopr_core.settings import load_settings
from coopr_core.store.claims import HEARTBEAT_SECONDS
from flows.announcing import announced
from flows.engine.actions import Actions
from flows.engine.attempts import Attempts
from flows.engine.job_run import JobRun
from flows.engine.run_log import FLOWS, own_logger
from flows.runtime import authorized_key, client_key, cluster_provider, logs_of
from flows.secrets import open_secrets, uses_secrets
from flows.server import ensure_server

if TYPE_CHECKING:
    from coopr_core.store import Store


P = ParamSpec("P")
R = TypeVar("R")


class ClusterFlow(Flow[P, R]):
    """A flow that finds or starts coopr's own Prefect server when it is called where none is named."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow, see ``prefect.Flow.__call__``."""
        ensure_server()
        own_logger()
        return super().__call__(*args, **kwargs)


def cluster_flow(name: str, run_name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Makes a function the flow ``name``; its docstring describes the flow and its parameters."""

    def wrap(function: Callable[P, R]) -> Flow[P, R]:
        summary = (function.__doc__ or "").partition("\n")[0]
        FLOWS.add(name)
        return ClusterFlow(
            function, name=name, flow_run_name=run_name, description=summary, persist_result=False, log_prints=False
        )

    return wrap


def run_job(
    store: Store,
    cluster: ClusterRecord,
    job: JobRecord,
    plan: Plan,
    *,
    schedule: Schedule,
    max_concurrency: int,
    on_services: bool = True,
    at_last: Callable[[Actions], None] | None = None,
) -> str:
    """Run a job that was started in the store, to its end there; the address of its flow run.

    ``on_services`` False is for operations on machines alone: no automator and no password is looked for. ``at_last``
    runs when every task has succeeded, before the job counts as done. Raises ``TasksFailed`` or ``Interrupted``, or
    what kept the job from running at all; it has ended in the store in any case. Start and end are announced.
    """
    with announced(store, cluster, job):
        try:
            _remember(store, cluster, job)
            url = str(runtime.flow_run.ui_url or "")
            with tags(f"cluster:{cluster.name}"), Sessions(client_key(store, cluster), redactor=Redactor()) as sessions:
                actions = _actions(store, cluster, sessions, on_services=on_services)
                work = JobRun(
                    store=store,
                    cluster=cluster,
                    job=job,
                    plan=plan,
                    attempts=_attempts(store, cluster, job, actions, sessions.redactor),
                    sessions=sessions,
                    schedule=schedule,
                    max_concurrency=max_concurrency,
                    tries=load_settings().attempts,
                    heartbeat_seconds=HEARTBEAT_SECONDS,
                    at_last=(lambda: at_last(actions)) if at_last else None,
                )
                work.run()
        except BaseException as error:
            if store.job(job.id).state in HOLDING:
                store.finish_job(job.id, JobState.FAILED, f"it could not run: {error}")
            raise
    return url


def _remember(store: Store, cluster: ClusterRecord, job: JobRecord) -> None:
    """Let either side lead to the other: the job knows its flow run, the flow run is tagged with cluster and job."""
    run_id = runtime.flow_run.id
    if run_id:
        store.set_flow_run(job.id, str(run_id))
        own = {f"cluster:{cluster.name}", f"job:{job.id}"}
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(UUID(str(run_id)), tags={*runtime.flow_run.tags, *own})


def _actions(store: Store, cluster: ClusterRecord, sessions: Sessions, *, on_services: bool) -> Actions:
    layout = store.layout(cluster.id)
    used: list[str] = []
    secret = None
    if on_services:
        used = sorted({a.type for service in layout.services.values() for a in service.actions.values()})
        secret = open_secrets(cluster.id, sessions.redactor.add) if uses_secrets(layout.config) else None
    return Actions(
        store=store,
        cluster=cluster,
        layout=layout,
        provider=cluster_provider(store, cluster),
        automators={name: load_automator(name) for name in used},
        sessions=sessions,
        authorized_key=authorized_key(client_key(store, cluster)),
        secret=secret,
    )


def _attempts(store: Store, cluster: ClusterRecord, job: JobRecord, actions: Actions, redactor: Redactor) -> Attempts:
    labels = {node.number: node.host_name.partition(".")[0] for node in store.nodes(cluster.id)}
    titles = {
        task.id: f"{f'{task.action} {task.service}'.strip()} @ {labels[task.node]}" for task in store.tasks(job.id)
    }
    return Attempts(store, actions, redactor, logs_of(cluster.id), titles, threading.Event())
