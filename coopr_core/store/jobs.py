"""The store's jobs: one at a time holds a cluster, and its end decides the cluster's state.

Promise: of any number of processes that start a job on one cluster at once, exactly one succeeds and the others hear
``Busy`` with the running job's name (a lock on the cluster's row, and a partial unique index behind it). A claim whose
process is dead, or has not shown itself for ``claims.STALE_SECONDS``, can be taken over by the next job or a resume.
Starting a job costs one transaction and one bulk insert, whatever its number of tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from coopr_core.errors import Busy, NotFound, Overtaken, Refused
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.operations import Operation, operation_named
from coopr_core.model.records import JobProgress, JobRecord, NewestJob
from coopr_core.model.states import HOLDING, ClusterState, JobState, TaskState
from coopr_core.store import claims
from coopr_core.store.cluster_change import ClusterChange, write_change
from coopr_core.store.database import Database
from coopr_core.store.job_end import abandoned_job, check_free, check_startable, end_job
from coopr_core.store.ledger.events import JOB_STARTED, note
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import Row, cluster_key, job_id, job_key, job_record, now, storable
from coopr_core.store.schema import JOB, clusters, jobs, plans, tasks


class PlannedTask(Protocol):
    """What the store needs to know of a task of a plan."""

    @property
    def node(self) -> int:
        """The number of the node it works on."""

    @property
    def action(self) -> str:
        """What it does, upper case."""

    @property
    def service(self) -> str:
        """To which service; empty for a node action."""


class Planned(Protocol):
    """What the store needs to know of a plan."""

    @property
    def stages(self) -> Sequence[Sequence[PlannedTask]]:
        """The tasks, stage by stage."""

    def record(self) -> Mapping[str, Any]:
        """Return the plan as JSON values, to be read back."""
        ...


class Jobs:
    """The part of the store that keeps jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start_job(
        self,
        cluster_id: str,
        operation: Operation | str,
        plan: Planned,
        *,
        claimed_by: str = "",
        parameters: JobParameters | None = None,
        only_expired: bool = False,
        change: ClusterChange | None = None,
        seen: NewestJob | None = None,
        flow_run_id: str = "",
    ) -> JobRecord:
        """Claim the cluster for an operation and record its job with all tasks, WAITING; the cluster is PENDING then.

        ``claimed_by`` is this process (``claims.claimant()``) unless given. ``parameters`` are what
        ``job_parameters`` will give.
        ``flow_run_id`` is the Prefect flow run that is going to work on it, see ``job_of_flow_run``.
        ``only_expired``: only if the cluster's lease has run out. ``change`` is written with the job or not at all.
        ``seen`` is the cluster's newest job when the operation was prepared. Raises ``Busy`` while another job holds
        the cluster, ``Overtaken`` when one was there since the operation was prepared, ``Refused`` when its state or
        protection forbids the operation or there is nothing left to delete.
        """
        operation = operation_named(operation)
        self.end_abandoned_job(cluster_id)
        with self.claiming(cluster_id) as connection:
            cluster = find_cluster(connection, cluster_id, lock=True)
            check_free(connection, cluster)
            check_startable(cluster, operation, only_expired=only_expired)
            check_seen(connection, cluster, seen)
            if change is not None:
                write_change(connection, cluster, change)
            return insert_job(
                connection,
                cluster,
                operation,
                plan,
                claimed_by=claimed_by,
                parameters=parameters or JobParameters(),
                flow_run_id=flow_run_id,
            )

    def end_abandoned_job(self, cluster_id: str) -> JobRecord | None:
        """Interrupt the running job of the cluster if its worker is gone, so that both show how they stand; that job.

        Costs a look when there is nothing to do. ``start_job`` and ``resume_job`` begin with it.
        """
        with self._database.read() as connection:
            if abandoned_job(connection, find_cluster(connection, cluster_id)) is None:
                return None
        with self._database.write(durable=True) as connection:
            job = abandoned_job(connection, find_cluster(connection, cluster_id, lock=True))
            if job is None:
                return None
            worker = claims.shown(job["claimed_by"])
            end_job(connection, job, JobState.INTERRUPTED, f"Its worker ({worker}) is gone")
            return job_record(find_job(connection, (job["cluster"], job["number"])))

    def heartbeat(self, job_id: str, *, claimed_by: str = "") -> bool:
        """Show that the claim is alive, every ``claims.HEARTBEAT_SECONDS``; False when the job was taken away."""
        mine = jobs.c.claimed_by == (claimed_by or claims.claimant())
        with self._database.write() as connection:
            query = update(jobs).where(*is_job(job_key(job_id)), jobs.c.state.in_(HOLDING), mine)
            return connection.execute(query.values(heartbeat_at=now())).rowcount == 1

    def set_flow_run(self, job_id: str, flow_run_id: str) -> None:
        """Remember which Prefect flow run works on the job."""
        with self._database.write() as connection:
            connection.execute(update(jobs).where(*is_job(job_key(job_id))).values(flow_run=flow_run_id))

    def job_of_flow_run(self, flow_run_id: str) -> JobRecord | None:
        """Return the newest job that this Prefect flow run has worked on, if it got so far."""
        query = select(*JOB).where(jobs.c.flow_run == flow_run_id).order_by(jobs.c.created.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return job_record(dict(row)) if row is not None else None

    def finish_job(self, job_id: str, state: JobState, message: str = "") -> JobRecord:
        """End the job, release its cluster and give that the state the table says; the same end twice is one.

        Attempts still running count as interrupted. When the cluster is TERMINATED then, its machines' data is
        emptied. Raises ``Refused`` when the job has ended otherwise already.
        """
        state = JobState(state)
        if state in HOLDING:
            raise ValueError(f"a job does not end as {state}")
        key = job_key(job_id)
        with self._database.write(durable=True) as connection:
            find_cluster(connection, job_id.rpartition("-")[0], lock=True)
            row = find_job(connection, key)
            if row["state"] in HOLDING:
                end_job(connection, row, state, storable(message))
            elif row["state"] != state:
                raise Refused(
                    f"Job {job_id} is {row['state']} already and cannot become {state}: {row['message']}",
                    hint="Another process took it over; see `coopr status`.",
                )
            return job_record(find_job(connection, key))

    def job(self, job_id: str) -> JobRecord:
        """One job. Raises ``NotFound``."""
        with self._database.read() as connection:
            return job_record(find_job(connection, job_key(job_id)))

    def job_parameters(self, job_id: str) -> JobParameters:
        """Return how a job runs and what its operation was asked. Raises ``NotFound``."""
        with self._database.read() as connection:
            return JobParameters.recorded(find_job(connection, job_key(job_id), jobs.c.parameters)["parameters"])

    def recorded_plan(self, job_id: str) -> Mapping[str, Any]:
        """Return the plan of a job as it was recorded. Raises ``NotFound``."""
        cluster, number = key = job_key(job_id)
        query = select(plans.c.plan).where(plans.c.cluster == cluster, plans.c.job == number)
        with self._database.read() as connection:
            found: Mapping[str, Any] | None = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise _no_job(key)
        return found

    def job_state(self, job_id: str) -> JobState:
        """How a job stands; cheap enough to ask every second."""
        with self._database.read() as connection:
            return JobState(find_job(connection, job_key(job_id), jobs.c.state)["state"])

    def newest_job(self, cluster_id: str) -> NewestJob:
        """Return the cluster's newest job and how it stands."""
        with self._database.read() as connection:
            return _newest(connection, find_cluster(connection, cluster_id))

    def jobs(self, cluster_id: str) -> list[JobRecord]:
        """Return the cluster's jobs, oldest first."""
        query = select(*JOB).where(jobs.c.cluster == cluster_key(cluster_id)).order_by(jobs.c.number)
        with self._database.read() as connection:
            find_cluster(connection, cluster_id, clusters.c.id)
            return [job_record(dict(row)) for row in connection.execute(query).mappings()]

    def progress(self, job_id: str) -> JobProgress:
        """How far the job is; cheap enough to ask twice a second."""
        cluster, number = key = job_key(job_id)
        query = (
            select(tasks.c.state, func.count(), func.min(tasks.c.stage))
            .where(tasks.c.cluster == cluster, tasks.c.job == number)
            .group_by(tasks.c.state)
        )
        with self._database.read() as connection:
            job = job_record(find_job(connection, key))
            rows = connection.execute(query).all()
        counts = dict.fromkeys(TaskState, 0) | {TaskState(state): count for state, count, _ in rows}
        stage = min((first for state, _, first in rows if state != TaskState.SUCCEEDED), default=job.stages)
        return JobProgress(job=job, counts=counts, stage=stage, stages=job.stages)

    def task_counts(self, job_id: str) -> Mapping[TaskState, int]:
        """Return how many of the job's tasks are in each state; every state is there."""
        return self.progress(job_id).counts

    def task_counts_of(self, cluster_id: str) -> Mapping[str, Mapping[TaskState, int]]:
        """Return the same for every job of a cluster, by id, in one statement."""
        key = cluster_key(cluster_id)
        query = select(tasks.c.job, tasks.c.state, func.count()).where(tasks.c.cluster == key)
        found: dict[str, dict[TaskState, int]] = {}
        with self._database.read() as connection:
            for number, state, count in connection.execute(query.group_by(tasks.c.job, tasks.c.state)):
                found.setdefault(job_id(key, number), dict.fromkeys(TaskState, 0))[TaskState(state)] = count
        return found

    @contextlib.contextmanager
    def claiming(self, cluster_id: str) -> Iterator[Connection]:
        """Return a transaction in which losing the race for the cluster is ``Busy``."""
        try:
            with self._database.write(durable=True) as connection:
                yield connection
        except IntegrityError:
            raise Busy(f"Cluster {cluster_id} is busy: another job just started", hint="See `coopr status`.") from None


def find_job(connection: Connection, key: tuple[int, int], *columns: Any) -> Row:
    """Return the row of a job, of these columns alone if any are given. Raises ``NotFound``."""
    row = connection.execute(select(*(columns or JOB)).where(*is_job(key))).mappings().one_or_none()
    if row is None:
        raise _no_job(key)
    return dict(row)


def _no_job(key: tuple[int, int]) -> NotFound:
    return NotFound(f"There is no job {job_id(*key)}", hint="`coopr show` lists a cluster's jobs.")


def check_seen(connection: Connection, cluster: Row, seen: NewestJob | None) -> None:
    """Raise ``Overtaken`` unless the newest job of a cluster whose row is locked is the one that was ``seen``."""
    newest = _newest(connection, cluster)
    if seen is not None and seen != newest:
        raise Overtaken(
            f"Cluster {cluster['name']} was changed by job {newest} while this was prepared",
            hint="Look at it with `coopr show` and try again.",
        )


def _newest(connection: Connection, cluster: Row) -> NewestJob:
    number = cluster["last_job"]
    return NewestJob.of(job_record(find_job(connection, (cluster["id"], number))) if number else None)


def insert_job(
    connection: Connection,
    cluster: Row,
    operation: Operation,
    plan: Planned,
    *,
    claimed_by: str,
    parameters: JobParameters,
    flow_run_id: str,
) -> JobRecord:
    """Write a job with its tasks on a cluster whose row is locked and which no job holds."""
    number, time = cluster["last_job"] + 1, now()
    row = {
        "cluster": cluster["id"],
        "number": number,
        "operation": operation,
        "state": JobState.RUNNING,
        "created": time,
        "started": time,
        "ended": None,
        "heartbeat_at": time,
        "claimed_by": claimed_by or claims.claimant(),
        "flow_run": flow_run_id,
        "message": "",
        "stages": len(plan.stages),
        "parameters": parameters.to_json(),
    }
    connection.execute(insert(jobs).values(row))
    connection.execute(insert(plans).values(cluster=cluster["id"], job=number, plan=dict(plan.record())))
    planned = _task_rows(cluster["id"], number, plan)
    if planned:
        connection.execute(insert(tasks), planned)
    values = {"state": ClusterState.PENDING, "updated": time, "last_job": number}
    connection.execute(update(clusters).where(clusters.c.id == cluster["id"]).values(values))
    note(connection, cluster["id"], JOB_STARTED, job=number, operation=operation, tasks=len(planned))
    return job_record(row)


def is_job(key: tuple[int, int]) -> tuple[Any, Any]:
    """Return the conditions that find one job."""
    return jobs.c.cluster == key[0], jobs.c.number == key[1]


def _task_rows(cluster: int, job: int, plan: Planned) -> list[dict[str, Any]]:
    """Return the rows of a plan's tasks, numbered from 1 in stage order."""
    planned = ((stage, task) for stage, members in enumerate(plan.stages, start=1) for task in members)
    return [
        {
            "cluster": cluster,
            "job": job,
            "number": number,
            "stage": stage,
            "node": task.node,
            "action": task.action,
            "service": task.service,
            "state": TaskState.WAITING,
            "attempts": 0,
            "message": "",
            "task_run": "",
            "log": "",
        }
        for number, (stage, task) in enumerate(planned, start=1)
    ]
