"""Doing what was prepared: a job is recorded and run to its end, or the cluster's last one goes on or stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coopr_core.model.states import Control
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.control import Controlled, stop_job
from coopr_core.operations.job import PreparedJob
from coopr_core.planner import Schedule
from coopr_core.store import Store
from flows.operation import continue_job, run_operation, start_operation
from flows.report import summarize


@dataclass(frozen=True, slots=True)
class How:
    """How a job is to be run, where the caller says so, and what was confirmed of it."""

    schedule: Schedule | None = None
    max_concurrency: int | None = None
    confirmed: str = ""


def execute_job(prepared: PreparedJob, store: Store, how: How) -> dict[str, Any]:
    """Run a new job, none when there is nothing to do, and wait for its end; return the cluster's summary."""
    if prepared.nothing_to_do:
        return summarize(store, prepared.cluster, "", "")
    with as_confirmed(how.confirmed):
        job = start_operation(store, prepared, schedule=how.schedule, max_concurrency=how.max_concurrency)
    return run_operation(store, prepared.cluster, job)


def steer_job(asked: Controlled, store: Store, how: How) -> dict[str, Any]:
    """Go on with the cluster's last job, or have it stop; return the cluster's summary."""
    if asked.control in (Control.PAUSE, Control.ABORT):
        job = stop_job(store, asked)
        return summarize(store, store.cluster_with_id(job.cluster_id), job.id, "")
    if asked.needed:
        return continue_job(
            store,
            asked.cluster,
            asked.job,
            schedule=how.schedule,
            max_concurrency=how.max_concurrency,
            seen=asked.newest,
        )
    return summarize(store, asked.cluster, asked.job.id, "")
