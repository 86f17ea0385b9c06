"""How jobs begin and end inside a transaction that holds the cluster's row: who may start, what is left behind.

Promise: wherever a job ends, by its own word or because its worker is gone, the same rows change in the same way. Rows
are locked in one order everywhere (cluster, job, attempts, tasks), so that no two transactions wait for each other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import Busy, Refused
from coopr_core.model.leases import expired
from coopr_core.model.operations import Operation, check_allowed, state_after
from coopr_core.model.states import HOLDING, WITHOUT_MACHINE, AttemptState, ClusterState, JobState, NodeState, TaskState
from coopr_core.store import claims
from coopr_core.store.cluster_change import forget_left, forget_made
from coopr_core.store.ledger.events import JOB_ENDED, note
from coopr_core.store.ledger.machines import machines_gone
from coopr_core.store.rows import Row, handle, job_id, now
from coopr_core.store.schema import JOB, attempts, clusters, jobs, nodes, tasks

_ONGOING = (TaskState.RUNNING, TaskState.RETRYING)


def check_startable(cluster: Row, operation: Operation, *, only_expired: bool = False) -> None:
    """Raise ``Busy`` or ``Refused`` unless the operation may start on a cluster that no job holds."""
    label = f"{cluster['name']} ({cluster['id']:08d})"
    if not check_allowed(ClusterState(cluster["state"]), operation, cluster=label):
        raise Refused(f"Cluster {label} is {cluster['state']} already", hint="There is nothing left to do.")
    if operation is Operation.CLUSTER_DELETE and cluster["protected"]:
        raise Refused(
            f"Cluster {label} is protected against deletion", hint=f"`coopr unprotect {handle(cluster)}` first."
        )
    if only_expired and not expired(cluster["expires_at"], now()):
        raise Refused(f"The lease of cluster {label} has not run out", hint="It was extended; `coopr show` tells.")


def check_free(connection: Connection, cluster: Row) -> None:
    """Raise ``Busy`` naming the job that holds the cluster, if one does."""
    job = _holding_job(connection, cluster)
    if job is None:
        return
    number = job_id(cluster["id"], job["number"])
    name, typed = cluster["name"], handle(cluster)
    does = f"is {job['state'].lower()} in {claims.shown(job['claimed_by'])}"
    hint = f"Watch it with `coopr status {typed}` and try again when it has ended."
    if job["state"] == JobState.PAUSED:
        does, hint = (
            "is paused",
            f"`coopr resume {typed}` continues it, `coopr abort {typed}` gives it up.",
        )
    raise Busy(
        f"Cluster {name} is busy: job {number} {job['operation']} {does}, since {job['started']:%F %T} UTC", hint=hint
    )


def abandoned_job(connection: Connection, cluster: Row) -> Row | None:
    """Return the job that holds the cluster, not paused, if its worker is dead or has been silent for too long."""
    job = _holding_job(connection, cluster)
    return job if job is not None and job["state"] != JobState.PAUSED and is_stale(job) else None


def _holding_job(connection: Connection, cluster: Row) -> Row | None:
    holding = (jobs.c.cluster == cluster["id"], jobs.c.state.in_(HOLDING))
    job = connection.execute(select(*JOB).where(*holding)).mappings().one_or_none()
    return dict(job) if job is not None else None


def is_stale(job: Row) -> bool:
    """Tell whether a job's worker is dead or has been silent for too long."""
    last = job["heartbeat_at"] or job["created"]
    return now() - last > timedelta(seconds=claims.STALE_SECONDS) or claims.is_dead(job["claimed_by"])


def end_job(connection: Connection, job: Row, state: JobState, message: str) -> None:
    """Write a job's end and what follows from it for its tasks, its cluster and, when that is gone, its nodes."""
    time = now()
    key = (job["cluster"], job["number"])
    ended: dict[str, Any] = {"state": state, "ended": time, "message": message}
    connection.execute(update(jobs).where(jobs.c.cluster == key[0], jobs.c.number == key[1]).values(ended))
    _interrupt_attempts(connection, key)
    ongoing = (*_of(key), tasks.c.state.in_(_ONGOING))
    connection.execute(update(tasks).where(*ongoing).values(state=TaskState.INTERRUPTED, ended=time))
    touched = state is not JobState.ROLLED_BACK or forget_made(connection, key)
    with_machine = (nodes.c.cluster == key[0], nodes.c.state.not_in(WITHOUT_MACHINE))
    machines = connection.execute(select(func.count()).select_from(nodes).where(*with_machine)).scalar_one()
    after = state_after(Operation.recorded(job["operation"]), state, any_machine=machines > 0, touched=touched)
    connection.execute(update(clusters).where(clusters.c.id == key[0]).values(state=after, updated=time))
    if after is ClusterState.TERMINATED:
        connection.execute(update(nodes).where(*with_machine).values(state=NodeState.DELETED))
        emptied: dict[str, Any] = {"machine": None, "token": "", "properties": {}}
        connection.execute(update(nodes).where(nodes.c.cluster == key[0]).values(emptied))
        machines_gone(connection, key[0])
    elif state is JobState.SUCCEEDED:
        forget_left(connection, key[0])
    note(
        connection,
        key[0],
        JOB_ENDED,
        job=key[1],
        operation=job["operation"],
        state=state,
        cluster_state=after,
        message=message,
    )


def reset_tasks(connection: Connection, key: tuple[int, int]) -> None:
    """Make the tasks of a job that have not succeeded wait again; what they tried stays as attempts."""
    _interrupt_attempts(connection, key)
    blank = {"state": TaskState.WAITING, "started": None, "ended": None, "exit_status": None, "message": ""}
    connection.execute(update(tasks).where(*_of(key), tasks.c.state != TaskState.SUCCEEDED).values(blank))


def _interrupt_attempts(connection: Connection, key: tuple[int, int]) -> None:
    running = (attempts.c.cluster == key[0], attempts.c.job == key[1], attempts.c.state == AttemptState.RUNNING)
    connection.execute(update(attempts).where(*running).values(state=AttemptState.INTERRUPTED, ended=now()))


def _of(key: tuple[int, int]) -> tuple[Any, Any]:
    return tasks.c.cluster == key[0], tasks.c.job == key[1]
