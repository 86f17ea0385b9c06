"""Rows to records, ids to keys and back.

Promise: nothing outside the store sees a row. Ids are read strictly: text that is no id finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from coopr_core.errors import NotFound
from coopr_core.model import ids, names
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.operations import Operation
from coopr_core.model.placement import Alternative, Placement
from coopr_core.model.records import AttemptRecord, ClusterRecord, JobRecord, NodeRecord, TaskRecord
from coopr_core.model.states import AttemptState, ClusterState, JobState, NodeState, TaskState

LARGEST = 2**31 - 1
"""The largest number the columns hold."""

Row = Mapping[Any, Any]
"""One row by column name."""


def now() -> datetime:
    """Return the present time, as the store keeps it."""
    return datetime.now(UTC)


def cluster_key(text: str) -> int:
    """Return 15 for ``00000015``. Raises ``InvalidInput`` for what is no id, ``NotFound`` for one that cannot be."""
    return _possible(text, ids.parse_cluster_id(text))


@lru_cache(maxsize=1024)
def job_key(text: str) -> tuple[int, int]:
    """Return (15, 44) for ``00000015-044``."""
    cluster, job = ids.parse_job_id(text)
    return cluster_key(cluster), _possible(text, job)


@lru_cache(maxsize=1024)
def task_key(text: str) -> tuple[int, int, int]:
    """Return (15, 44, 275) for ``00000015-044-275``."""
    job, task = ids.parse_task_id(text)
    return *job_key(job), _possible(text, task)


def _possible(text: str, number: int) -> int:
    if number > LARGEST:
        raise NotFound(f"There is no {text}", hint="No number in an id is that large.")
    return number


@lru_cache(maxsize=1024)
def job_id(cluster: int, job: int) -> str:
    """(15, 44) -> ``00000015-044``."""
    return ids.job_id(ids.cluster_id(cluster), job)


def task_id(cluster: int, job: int, task: int) -> str:
    """(15, 44, 275) -> ``00000015-044-275``."""
    return ids.task_id(job_id(cluster, job), task)


def storable(text: str) -> str:
    """Text every database takes: what is not text in it (NUL, half a character) becomes ``?`` or U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def handle(cluster: Row) -> str:
    """Return what to type for the cluster of a row."""
    return names.handle(cluster["name"], ids.cluster_id(cluster["id"]))


def cluster_record(row: Row) -> ClusterRecord:
    """Return the record of a row of ``clusters``."""
    return ClusterRecord(
        id=ids.cluster_id(row["id"]),
        name=row["name"],
        tenant=row["tenant"],
        owner=row["owner"],
        state=ClusterState(row["state"]),
        template=row["template_name"],
        provider=row["provider"],
        size=row["size"],
        created=row["created"],
        updated=row["updated"],
        expires_at=row["expires_at"],
        protected=row["protected"],
        last_job=job_id(row["id"], row["last_job"]) if row["last_job"] else None,
        facts=ClusterFacts(
            providers=tuple(map(ProviderFacts.from_json, row["providers"])),
            ssh_key=row["ssh_key"],
            catalog=tuple(row["catalog"]),
        ),
    )


def fact_values(facts: ClusterFacts) -> dict[str, Any]:
    """Return the columns that keep the facts of a cluster."""
    return {
        "providers": [provider.to_json() for provider in facts.providers],
        "ssh_key": facts.ssh_key,
        "catalog": list(facts.catalog),
    }


def node_record(row: Row) -> NodeRecord:
    """Return the record of a row of ``nodes``."""
    return NodeRecord(
        cluster_id=ids.cluster_id(row["cluster"]),
        number=row["number"],
        state=NodeState(row["state"]),
        host_name=row["host_name"],
        placement=Placement.from_json(row["placement"]),
        ssh_user=row["ssh_user"],
        price=row["price"],
        services=tuple(row["services"]),
        token=row["token"],
        machine=row["machine"],
        properties=row["properties"],
        alternatives=tuple(map(Alternative.from_json, row["alternatives"])),
    )


def job_record(row: Row) -> JobRecord:
    """Return the record of a row of ``jobs``."""
    return JobRecord(
        id=job_id(row["cluster"], row["number"]),
        cluster_id=ids.cluster_id(row["cluster"]),
        operation=Operation.recorded(row["operation"]),
        state=JobState(row["state"]),
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        heartbeat_at=row["heartbeat_at"],
        claimed_by=row["claimed_by"],
        flow_run_id=row["flow_run"],
        message=row["message"],
        stages=row["stages"],
    )


def task_record(row: Row) -> TaskRecord:
    """Return the record of a row of ``tasks``."""
    job = job_id(row["cluster"], row["job"])
    return TaskRecord(
        id=ids.task_id(job, row["number"]),
        job_id=job,
        cluster_id=ids.cluster_id(row["cluster"]),
        stage=row["stage"],
        node=row["node"],
        action=row["action"],
        service=row["service"],
        state=TaskState(row["state"]),
        attempts=row["attempts"],
        started=row["started"],
        ended=row["ended"],
        exit_status=row["exit_status"],
        message=row["message"],
        task_run_id=row["task_run"],
        log=row["log"],
    )


def attempt_record(row: Row) -> AttemptRecord:
    """Return the record of a row of ``attempts``."""
    return AttemptRecord(
        task_id=task_id(row["cluster"], row["job"], row["task"]),
        number=row["number"],
        state=AttemptState(row["state"]),
        started=row["started"],
        ended=row["ended"],
        exit_status=row["exit_status"],
        message=row["message"],
        task_run_id=row["task_run"],
        log=row["log"],
    )
