"""The store's tasks and the attempts at them.

Promise: an attempt and its task change in one transaction; an attempt that was given up (its worker was thought gone)
cannot change its task afterwards. Each call is one short transaction over rows found by key, in as few statements as
can be, which are put together once: that costs more than running them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, exists, func, insert, select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import CooprError, NotFound, Refused
from coopr_core.model.records import AttemptRecord, TaskRecord
from coopr_core.model.states import TASK_AFTER_ATTEMPT, AttemptState, JobState, TaskState
from coopr_core.store.database import Database
from coopr_core.store.jobs import find_job
from coopr_core.store.rows import Row, attempt_record, job_key, now, storable, task_id, task_key, task_record
from coopr_core.store.schema import attempts, jobs, tasks

_THIS_TASK = (
    tasks.c.cluster == bindparam("of_cluster"),
    tasks.c.job == bindparam("of_job"),
    tasks.c.number == bindparam("of_task"),
)
_FIND_TASK = select(tasks).where(*_THIS_TASK)

_ITS_JOB_RUNS = exists(
    select(jobs.c.number)
    .where(
        jobs.c.cluster == bindparam("of_cluster"),
        jobs.c.number == bindparam("of_job"),
        jobs.c.state == JobState.RUNNING.value,
    )
    .with_for_update(read=True)
)
"""Nobody ends the job before the transaction that asks so has ended."""

_START_TASK = (
    update(tasks).where(*_THIS_TASK, _ITS_JOB_RUNS).values(attempts=tasks.c.attempts + 1).returning(tasks.c.attempts)
)
_INSERT_ATTEMPT = insert(attempts)
_END_ATTEMPT = update(attempts).where(
    attempts.c.cluster == bindparam("of_cluster"),
    attempts.c.job == bindparam("of_job"),
    attempts.c.task == bindparam("of_task"),
    attempts.c.number == bindparam("of_number"),
    attempts.c.state == AttemptState.RUNNING.value,
)
_END_TASK = update(tasks).where(*_THIS_TASK, tasks.c.attempts == bindparam("of_number")).returning(*tasks.c)


class Tasks:
    """The part of the store that keeps tasks and attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tasks(
        self,
        job_id: str,
        *,
        state: TaskState | None = None,
        stage: int | None = None,
        node: int | None = None,
        service: str | None = None,
    ) -> list[TaskRecord]:
        """Return the job's tasks in id order, which is stage order; only those that match what is given."""
        cluster, job = key = job_key(job_id)
        query = select(tasks).where(tasks.c.cluster == cluster, tasks.c.job == job).order_by(tasks.c.number)
        wanted = {tasks.c.state: state, tasks.c.stage: stage, tasks.c.node: node, tasks.c.service: service}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        with self._database.read() as connection:
            find_job(connection, key)
            return [task_record(row) for row in connection.execute(query).mappings()]

    def task(self, task_id: str) -> TaskRecord:
        """Return one task. Raises ``NotFound``."""
        with self._database.read() as connection:
            return task_record(_find(connection, task_key(task_id)))

    def attempts(self, task_id: str) -> list[AttemptRecord]:
        """Return the attempts at a task, first to last."""
        cluster, job, task = key = task_key(task_id)
        same = (attempts.c.cluster == cluster, attempts.c.job == job, attempts.c.task == task)
        with self._database.read() as connection:
            _find(connection, key)
            query = select(attempts).where(*same).order_by(attempts.c.number)
            return [attempt_record(row) for row in connection.execute(query).mappings()]

    def count_ends(self, job_id: str) -> int:
        """Return how many attempts at the job's tasks have ended; never less, and cheap to ask twice a second."""
        query = select(func.count()).select_from(attempts).where(*_ended_of(job_id))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def ends(self, job_id: str, *, since: datetime | None = None) -> list[tuple[TaskRecord, AttemptRecord]]:
        """Return the attempts at the job's tasks that have ended, ``since`` then if given, in that order, with tasks.

        A task is as it is now: it may have been tried again since. One that ended before ``since`` may only now have
        been recorded; ``count_ends`` tells whether any is missing.
        """
        same = (attempts.c.cluster == tasks.c.cluster, attempts.c.job == tasks.c.job, attempts.c.task == tasks.c.number)
        columns = [*attempts.c, *(column.label(f"of_{column.name}") for column in tasks.c)]
        query = select(*columns).where(*_ended_of(job_id), *same).order_by(attempts.c.ended, attempts.c.task)
        if since is not None:
            query = query.where(attempts.c.ended >= since)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            (task_record({column.name: row[f"of_{column.name}"] for column in tasks.c}), attempt_record(row))
            for row in rows
        ]

    def durations(self, *, newest: int = 2000) -> dict[tuple[str, str], float]:
        """Return the seconds a task took on average, by (service, action), over the ``newest`` tasks that succeeded."""
        columns = (tasks.c.service, tasks.c.action, tasks.c.started, tasks.c.ended)
        query = (
            select(*columns).where(tasks.c.state == TaskState.SUCCEEDED).order_by(tasks.c.ended.desc()).limit(newest)
        )
        taken: dict[tuple[str, str], list[float]] = {}
        with self._database.read() as connection:
            for service, action, started, ended in connection.execute(query):
                taken.setdefault((service, action), []).append((ended - started).total_seconds())
        return {kind: sum(seconds) / len(seconds) for kind, seconds in taken.items()}

    def undo_tasks(self, job_id: str, node: int) -> None:
        """Let all tasks of a node wait again, because what they did is about to be undone."""
        cluster, job = job_key(job_id)
        mine = (tasks.c.cluster == cluster, tasks.c.job == job, tasks.c.node == node)
        blank = {"state": TaskState.WAITING, "exit_status": None}
        with self._database.write() as connection:
            connection.execute(update(tasks).where(*mine, tasks.c.state == TaskState.SUCCEEDED).values(blank))

    def start_attempt(self, task_id: str, *, task_run_id: str = "", log: str = "") -> AttemptRecord:
        """Record that the task is being tried, in that Prefect task run, with its output going to ``log``.

        Raises ``Refused`` when its job is not running (any more).
        """
        cluster, job, task = key = task_key(task_id)
        shared = {
            "started": now(),
            "ended": None,
            "exit_status": None,
            "message": "",
            "task_run": task_run_id,
            "log": log,
        }
        with self._database.write() as connection:
            values = {"state": TaskState.RUNNING.value, **shared, **_of(key)}
            number = connection.execute(_START_TASK, values).scalar_one_or_none()
            if number is None:
                raise _not_startable(connection, key)
            row = {
                "cluster": cluster,
                "job": job,
                "task": task,
                "number": number,
                "state": AttemptState.RUNNING.value,
                **shared,
            }
            connection.execute(_INSERT_ATTEMPT, row)
        return attempt_record(row)

    def finish_attempt(
        self,
        attempt: AttemptRecord,
        state: AttemptState,
        *,
        exit_status: int | None = None,
        message: str = "",
        retry: bool = False,
    ) -> TaskRecord:
        """Record how an attempt ended, and with it the task; ``retry``: it failed and another attempt follows.

        ``message`` must be redacted by the caller. An attempt that is not running any more changes nothing. Gives the
        task as it is then.
        """
        key = task_key(attempt.task_id)
        state = AttemptState(state)
        task_state = TASK_AFTER_ATTEMPT[state]
        if retry and task_state is TaskState.FAILED:
            task_state = TaskState.RETRYING
        result = {"ended": now(), "exit_status": exit_status, "message": storable(message)}
        result |= {**_of(key), "of_number": attempt.number}
        with self._database.write() as connection:
            row = None
            if connection.execute(_END_ATTEMPT, {"state": state.value, **result}).rowcount:
                row = connection.execute(_END_TASK, {"state": task_state.value, **result}).mappings().one_or_none()
            return task_record(row if row is not None else _find(connection, key))


def _ended_of(job_id: str) -> tuple[Any, Any, Any]:
    cluster, job = job_key(job_id)
    return attempts.c.cluster == cluster, attempts.c.job == job, attempts.c.ended.is_not(None)


def _of(key: tuple[int, int, int]) -> dict[str, int]:
    """Return the values of ``_THIS_TASK``."""
    return dict(zip(("of_cluster", "of_job", "of_task"), key, strict=True))


def _not_startable(connection: Connection, key: tuple[int, int, int]) -> CooprError:
    """Return the error for a task that cannot be tried; raises ``NotFound`` when there is no such task or job."""
    state = find_job(connection, key[:2])["state"]
    _find(connection, key)
    name = task_id(*key)
    return Refused(f"Task {name} may not start: its job is {state}", hint="`coopr retry` resumes an ended job.")


def _find(connection: Connection, key: tuple[int, int, int]) -> Row:
    row = connection.execute(_FIND_TASK, _of(key)).mappings().one_or_none()
    if row is None:
        last = connection.execute(
            select(func.max(tasks.c.number)).where(tasks.c.cluster == key[0], tasks.c.job == key[1])
        )
        most = last.scalar_one()
        there = f"Its job has tasks 001 to {most:03d}. " if most else ""
        raise NotFound(f"There is no task {task_id(*key)}", hint=f"{there}`coopr tasks` lists a cluster's tasks.")
    return dict(row)
