"""The flows ``retry-cluster``, ``resume-cluster``, ``pause-cluster`` and ``abort-cluster``.

A job goes on from what the store knows of it, in whatever process: the same plan, ids and values, and of its tasks
those that have not succeeded. The steps at an operation's end are done again too, they may be repeated.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from coopr_core.model.states import Control
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.control import ABORT_SECONDS, abort, controlled, pause
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.operation import continue_job
from flows.report import summarize

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@cluster_flow("retry-cluster", "retry-cluster {cluster}")
def retry_cluster(cluster: str, max_concurrency: Concurrency | None = None, confirmed: str = "") -> dict[str, Any]:
    """Run what has not succeeded of a cluster's last job, which failed or was interrupted.

    Args:
        cluster: The cluster's name or id.
        max_concurrency: How many tasks may run at once; as many as the first time when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes; a job that has succeeded already is a success.
    """
    return _go_on(cluster, Control.RETRY, max_concurrency, confirmed)


@cluster_flow("resume-cluster", "resume-cluster {cluster}")
def resume_cluster(cluster: str, max_concurrency: Concurrency | None = None, confirmed: str = "") -> dict[str, Any]:
    """Continue a cluster's paused job.

    Args:
        cluster: The cluster's name or id.
        max_concurrency: How many tasks may run at once; as many as the first time when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes; while tasks of the job are still running, it goes on in the
        process that runs them, and this returns at once.
    """
    return _go_on(cluster, Control.RESUME, max_concurrency, confirmed)


@cluster_flow("pause-cluster", "pause-cluster {cluster}")
def pause_cluster(cluster: str, confirmed: str = "") -> dict[str, Any]:
    """Pause a cluster's running job: tasks that run come to their end, none is started.

    Args:
        cluster: The cluster's name or id.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        job = pause(store, cluster, confirmed=confirmed)
        return summarize(store, store.cluster_with_id(job.cluster_id), job.id, "")


@cluster_flow("abort-cluster", "abort-cluster {cluster}")
def abort_cluster(cluster: str, timeout: Seconds = ABORT_SECONDS, confirmed: str = "") -> dict[str, Any]:
    """End a cluster's job and what it runs on the nodes; its state is saved.

    Args:
        cluster: The cluster's name or id.
        timeout: How many seconds to wait for the job to end.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        job = abort(store, cluster, timeout=timeout, confirmed=confirmed)
        return summarize(store, store.cluster_with_id(job.cluster_id), job.id, "")


def _go_on(cluster: str, control: Control, max_concurrency: int | None, confirmed: str) -> dict[str, Any]:
    with Store.open() as store:
        with as_confirmed(confirmed):
            asked = controlled(store, cluster, control)
            asked.check(confirmed)
        if asked.needed:
            return continue_job(store, asked.cluster, asked.job, max_concurrency=max_concurrency, seen=asked.newest)
        return summarize(store, asked.cluster, asked.job.id, "")
