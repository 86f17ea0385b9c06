"""The store's history of a cluster: what happened to it, job by job and attempt by attempt, by whom and from where.

Promise: everything is there in the order in which it happened, each as one JSON value with ``version``, ``time``,
``event`` and ``cluster``. Costs memory for every attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, select

from coopr_core.model import ids
from coopr_core.store.database import Database
from coopr_core.store.ledger.events import JOB_RESUMED, JOB_STARTED
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import Row, job_id, task_id
from coopr_core.store.schema import attempts, events, tasks

VERSION = 1
"""The version of the events' form: it grows when a field changes its meaning or goes, not when one comes."""


class History:
    """The part of the store that tells what happened."""

    _database: Database

    def history(self, cluster_id: str) -> list[dict[str, Any]]:
        """Everything that happened to the cluster, oldest first.

        The events are those of ``store.ledger.events`` and ``task.attempt``, which tells of one attempt, from start
        to end, at the time it started; its ``by`` is who started or resumed its job last before.
        """
        with self._database.read() as connection:
            row = find_cluster(connection, cluster_id)
            noted = select(events).where(events.c.cluster == row["id"]).order_by(events.c.id)
            happened = [_event(row, event) for event in connection.execute(noted).mappings()]
            same_task = and_(
                tasks.c.cluster == attempts.c.cluster,
                tasks.c.job == attempts.c.job,
                tasks.c.number == attempts.c.task,
            )
            columns = (tasks.c.node, tasks.c.action, tasks.c.service, tasks.c.stage)
            tried = (
                select(attempts, *columns)
                .join(tasks, onclause=same_task)
                .where(attempts.c.cluster == row["id"])
                .order_by(attempts.c.started, attempts.c.job, attempts.c.task, attempts.c.number)
            )
            trials = [_attempt(row, attempt) for attempt in connection.execute(tried).mappings()]
        return list(_told_by(sorted([*happened, *trials], key=lambda event: event["time"])))


def _event(cluster: Row, event: Row) -> dict[str, Any]:
    return {
        **_common(cluster, event["event"], event["time"]),
        **({"job": job_id(event["cluster"], event["job"])} if event["job"] is not None else {}),
        "by": event["by"],
        "via": event["via"],
        **event["details"],
    }


def _attempt(cluster: Row, attempt: Row) -> dict[str, Any]:
    started, ended = attempt["started"], attempt["ended"]
    return {
        **_common(cluster, "task.attempt", started),
        "job": job_id(attempt["cluster"], attempt["job"]),
        "task": task_id(attempt["cluster"], attempt["job"], attempt["task"]),
        "attempt": attempt["number"],
        "stage": attempt["stage"],
        "node": attempt["node"],
        "action": attempt["action"],
        "service": attempt["service"],
        "state": attempt["state"],
        "ended": ended.isoformat(timespec="milliseconds") if ended else None,
        "seconds": round((ended - started).total_seconds(), 3) if ended else None,
        "exit_status": attempt["exit_status"],
        "message": attempt["message"],
        "task_run": attempt["task_run"],
    }


def _common(cluster: Row, event: str, time: Any) -> dict[str, Any]:
    return {
        "version": VERSION,
        "time": time.isoformat(timespec="milliseconds"),
        "event": event,
        "cluster": ids.cluster_id(cluster["id"]),
        "name": cluster["name"],
        "tenant": cluster["tenant"],
    }


def _told_by(happened: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the same events; each attempt with who started its job."""
    starters: dict[str, dict[str, Any]] = {}
    for event in happened:
        if event["event"] in (JOB_STARTED, JOB_RESUMED):
            starters[event["job"]] = {"by": event["by"], "via": event["via"]}
        yield event if "by" in event else {**event, **starters.get(event["job"], {"by": "", "via": ""})}
