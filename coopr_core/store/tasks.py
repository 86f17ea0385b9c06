"""The store's tasks and the attempts at them.

Promise: an attempt and its task change in one transaction; an attempt that was given up (its worker was thought gone)
cannot change its task afterwards. Each call is one short transaction over rows found by key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import NotFound, Refused
from coopr_core.model.records import AttemptRecord, TaskRecord
from coopr_core.model.states import TASK_AFTER_ATTEMPT, AttemptState, JobState, TaskState
from coopr_core.store.clusters import now
from coopr_core.store.database import Database
from coopr_core.store.jobs import find_job
from coopr_core.store.rows import Row, attempt_record, job_key, storable, task_key, task_record
from coopr_core.store.schema import attempts, tasks


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
        ended_since: datetime | None = None,
    ) -> list[TaskRecord]:
        """The job's tasks in id order, which is stage order; only those that match what is given.

        ``ended_since`` chooses tasks whose last attempt ended then or later. Who follows a job from look to look asks
        for its ``ends``: an end may be recorded after another that came later.
        """
        cluster, job = key = job_key(job_id)
        query = select(tasks).where(tasks.c.cluster == cluster, tasks.c.job == job).order_by(tasks.c.number)
        wanted = {tasks.c.state: state, tasks.c.stage: stage, tasks.c.node: node, tasks.c.service: service}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        if ended_since is not None:
            query = query.where(tasks.c.ended >= ended_since)
        with self._database.read() as connection:
            find_job(connection, key)
            return [task_record(row) for row in connection.execute(query).mappings()]

    def task(self, task_id: str) -> TaskRecord:
        """One task. Raises ``NotFound``."""
        with self._database.read() as connection:
            return task_record(_find(connection, task_key(task_id)))

    def attempts(self, task_id: str) -> list[AttemptRecord]:
        """The attempts at a task, first to last."""
        cluster, job, task = key = task_key(task_id)
        same = (attempts.c.cluster == cluster, attempts.c.job == job, attempts.c.task == task)
        with self._database.read() as connection:
            _find(connection, key)
            query = select(attempts).where(*same).order_by(attempts.c.number)
            return [attempt_record(row) for row in connection.execute(query).mappings()]

    def count_ends(self, job_id: str) -> int:
        """How many attempts at the job's tasks have ended; cheap enough to ask twice a second, and never less."""
        query = select(func.count()).select_from(attempts).where(*_ended_of(job_id))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def ends(self, job_id: str, *, since: datetime | None = None) -> list[tuple[TaskRecord, AttemptRecord]]:
        """The attempts at the job's tasks that have ended, ``since`` then if given, in that order, with their tasks.

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
        """Seconds a task took on average, by (service, action), over the ``newest`` tasks that succeeded."""
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
        with self._database.write() as connection:
            job_state = find_job(connection, (cluster, job), keep=True)["state"]
            if job_state != JobState.RUNNING:
                raise Refused(
                    f"Task {task_id} may not start: its job is {job_state}", hint="`coopr retry` resumes an ended job."
                )
            number = _find(connection, key, lock=True)["attempts"] + 1
            row = {
                "cluster": cluster,
                "job": job,
                "task": task,
                "number": number,
                "state": AttemptState.RUNNING,
                "started": now(),
                "ended": None,
                "exit_status": None,
                "message": "",
                "task_run": task_run_id,
                "log": log,
            }
            connection.execute(insert(attempts).values(row))
            shared = ("started", "ended", "exit_status", "message", "task_run", "log")
            values = {"state": TaskState.RUNNING, "attempts": number, **{name: row[name] for name in shared}}
            connection.execute(update(tasks).where(*_is(key)).values(values))
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
        cluster, job, task = key = task_key(attempt.task_id)
        same = (attempts.c.cluster == cluster, attempts.c.job == job, attempts.c.task == task)
        running = (attempts.c.number == attempt.number, attempts.c.state == AttemptState.RUNNING)
        state = AttemptState(state)
        result = {"ended": now(), "exit_status": exit_status, "message": storable(message)}
        task_state = TASK_AFTER_ATTEMPT[state]
        if retry and task_state is TaskState.FAILED:
            task_state = TaskState.RETRYING
        with self._database.write() as connection:
            changed = connection.execute(update(attempts).where(*same, *running).values(state=state, **result)).rowcount
            if changed:
                last = tasks.c.attempts == attempt.number
                connection.execute(update(tasks).where(*_is(key), last).values(state=task_state, **result))
            return task_record(_find(connection, key))


def _ended_of(job_id: str) -> tuple[Any, Any, Any]:
    cluster, job = job_key(job_id)
    return attempts.c.cluster == cluster, attempts.c.job == job, attempts.c.ended.is_not(None)


def _is(key: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    return tasks.c.cluster == key[0], tasks.c.job == key[1], tasks.c.number == key[2]


def _find(connection: Connection, key: tuple[int, int, int], *, lock: bool = False) -> Row:
    query = select(tasks).where(*_is(key))
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        name = f"{key[0]:08d}-{key[1]:03d}-{key[2]:03d}"
        last = connection.execute(
            select(func.max(tasks.c.number)).where(tasks.c.cluster == key[0], tasks.c.job == key[1])
        )
        most = last.scalar_one()
        there = f"Its job has tasks 001 to {most:03d}. " if most else ""
        raise NotFound(f"There is no task {name}", hint=f"{there}`coopr tasks` lists a cluster's tasks.")
    return dict(row)
