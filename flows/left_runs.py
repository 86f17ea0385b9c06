"""The flow runs and task runs that a process left open when it was killed: Prefect does not notice, so we close them.

A job that goes on elsewhere, and the next job on its cluster, close what the one before left. Costs two calls where
nothing is open, and one for each task run that is, of at most ``MOST``; a server that does not answer keeps no job from
running.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from coopr_core.model.records import JobRecord
from coopr_core.model.states import JobState

MOST = 2000
"""Task runs that are closed at once, at most."""

_PAGE = 200
_OPEN = [
    StateType.RUNNING,
    StateType.PENDING,
    StateType.SCHEDULED,
    StateType.PAUSED,
    StateType.CANCELLING,
]


def left_by(job: JobRecord, previous: JobRecord | None) -> set[str]:
    """Return the flow runs possibly left open before ``job`` goes on: its last one, that of the job before."""
    found = {job.flow_run_id}
    if previous is not None and previous.state is JobState.INTERRUPTED:
        found.add(previous.flow_run_id)
    return found - {""}


def close_runs(client: SyncPrefectClient, left: set[str], own: str) -> None:
    """Close what is open of the flow runs ``left``, for the job goes on in flow run ``own``.

    Of ``own`` itself, which Prefect runs again, only the task runs that were open: none of ours runs yet.
    """
    for run_id in sorted(left):
        try:
            if run_id != own:
                _close_flow_run(client, UUID(run_id), own)
            _close_task_runs(client, UUID(run_id), own)
        except (httpx.HTTPError, ObjectNotFound) as error:
            logging.getLogger(__name__).warning("flow run %s could not be closed: %s", run_id, error)


def _close_flow_run(client: SyncPrefectClient, run_id: UUID, own: str) -> None:
    run = client.read_flow_run(run_id)
    if run.state is None or run.state.is_final():
        return
    message = f"The job goes on in flow run {own}"
    state: State[Any] = (
        Cancelled(message=message) if run.state.is_paused() else Crashed(message=f"Its process is gone. {message}")
    )
    client.set_flow_run_state(run_id, state, force=True)
    if run.parent_task_run_id is not None:  # the flow that called it ran in the same process
        parent = client.read_task_run(run.parent_task_run_id).flow_run_id
        if parent is not None and str(parent) != own:
            _close_flow_run(client, parent, own)
            _close_task_runs(client, parent, own)


def _close_task_runs(client: SyncPrefectClient, run_id: UUID, own: str) -> None:
    flow_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    still_open = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_OPEN)))
    state: State[Any] = Crashed(message=f"Its process is gone. The job goes on in flow run {own}")
    closed: set[UUID] = set()
    while len(closed) < MOST:
        found = client.read_task_runs(flow_run_filter=flow_run, task_run_filter=still_open, limit=_PAGE)
        news = [run.id for run in found if run.id not in closed]
        for task_run in news:
            client.set_task_run_state(task_run, state, force=True)
            closed.add(task_run)
        if not news:
            return
