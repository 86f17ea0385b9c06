"""What the store keeps, as plain values: clusters, nodes, jobs, tasks and attempts.

Promise: a record is a snapshot that never changes and needs no database to be read. Ids are the text users see
(``00000015``, ``00000015-044``, ``00000015-044-275``), times are aware and in UTC, None where they have not come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from coopr_core.model.facts import ClusterFacts
from coopr_core.model.names import handle
from coopr_core.model.operations import Operation
from coopr_core.model.placement import Alternative, Placed, Placement
from coopr_core.model.states import AttemptState, ClusterState, JobState, NodeState, TaskState


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """One cluster.

    ``template`` and ``provider`` are names; ``size`` is its number of nodes; ``last_job`` the id of its newest job;
    ``facts`` are what it was made with.
    """

    id: str
    name: str
    tenant: str
    owner: str
    state: ClusterState
    template: str
    provider: str
    size: int
    created: datetime
    updated: datetime
    expires_at: datetime | None = None
    protected: bool = False
    last_job: str | None = None
    facts: ClusterFacts = field(default_factory=ClusterFacts)

    @property
    def credentials(self) -> str:
        """The block with the settings and secrets of its provider, ``SLUG/NAME``; empty when there is none."""
        known = self.facts.provider(self.provider)
        return known.credentials if known else ""

    @property
    def handle(self) -> str:
        """What to type for it: its name, unless that looks like an id."""
        return handle(self.name, self.id)


@dataclass(frozen=True, slots=True)
class NodeRecord(Placed):
    """One node: what was planned (as in ``layout.Node``) and the machine it became.

    ``token`` is the idempotency key of its machine, empty before one was asked for; ``machine`` is
    ``providers.contract.Machine.to_json()``; ``properties`` is what its tasks reported.
    """

    cluster_id: str
    number: int
    state: NodeState
    host_name: str
    placement: Placement
    ssh_user: str
    price: float | None
    services: tuple[str, ...]
    token: str = ""
    machine: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """Its machine's addresses by type; none before it has a machine that tells them."""
        return dict((self.machine or {}).get("addresses", {}))


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One operation on a cluster.

    ``claimed_by`` says which process works on it, ``heartbeat_at`` when that last showed itself; ``stages`` is their
    number.
    """

    id: str
    cluster_id: str
    operation: Operation
    state: JobState
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    heartbeat_at: datetime | None = None
    claimed_by: str = ""
    flow_run_id: str = ""
    message: str = ""
    stages: int = 0


@dataclass(frozen=True, slots=True)
class NewestJob:
    """Which job of a cluster was its newest at one time, and how that stood; all empty when it never had one.

    ``ended`` changes with every try of a job, so that one that was tried again in between is another.
    """

    id: str = ""
    operation: str = ""
    state: str = ""
    ended: datetime | None = None

    @classmethod
    def of(cls, job: JobRecord | None) -> Self:
        """Return the newest job's, given that job."""
        return cls() if job is None else cls(job.id, str(job.operation), str(job.state), job.ended)

    def __str__(self) -> str:
        ended = f" at {self.ended:%F %T} UTC" if self.ended else ""
        return f"{self.id} {self.operation} {self.state}{ended}" if self.id else "none"


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task of a job: ``action`` on ``node``, of ``service`` (empty for a node action), in ``stage`` (from 1).

    ``attempts`` counts them; the other fields are those of the last one.
    """

    id: str
    job_id: str
    cluster_id: str
    stage: int
    node: int
    action: str
    service: str
    state: TaskState
    attempts: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    exit_status: int | None = None
    message: str = ""
    task_run_id: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at a task, numbered from 1; ``log`` is the path of its output."""

    task_id: str
    number: int
    state: AttemptState
    started: datetime
    ended: datetime | None = None
    exit_status: int | None = None
    message: str = ""
    task_run_id: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is: its tasks by state (every state is there), the first stage not done, how many there are."""

    job: JobRecord
    counts: Mapping[TaskState, int]
    stage: int
    stages: int

    @property
    def total(self) -> int:
        """How many tasks the job has."""
        return sum(self.counts.values())
