"""The states of clusters, nodes, jobs, tasks and attempts, and the one table of what an operation may do in which.

Promise: whether an operation may start, and what a cluster becomes when it ends, is read from ``RULES`` and nowhere
else. Every look-up is constant time. The states are those of the original (sections 6 and 7 of its semantics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from coopr_core.errors import Busy, InvalidInput, Refused


class ClusterState(StrEnum):
    """Where a cluster is in its life."""

    PENDING = "PENDING"
    """A job is running."""
    ACTIVE = "ACTIVE"
    """Everything planned is there."""
    INCOMPLETE = "INCOMPLETE"
    """Not all of its machines are there: not created yet, or a create or delete that failed."""
    INCONSISTENT = "INCONSISTENT"
    """All machines are there, but another operation failed on some."""
    TERMINATED = "TERMINATED"
    """Nothing is left of it but its record."""


class NodeState(StrEnum):
    """Where a node's machine is in its life."""

    PLANNED = "PLANNED"
    """No machine was asked for."""
    REQUESTED = "REQUESTED"
    """A machine was, or is about to be, asked for with the node's token: one may exist."""
    CREATED = "CREATED"
    """The provider accepted it; it may not be usable yet."""
    CONFIRMED = "CONFIRMED"
    """It answers."""
    DELETED = "DELETED"
    """The provider says that it is gone."""


class JobState(StrEnum):
    """Where a job is. A running, paused or aborting job holds its cluster: nothing else may start."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Nothing of it starts; what runs comes to its end, then no process works on it until it is resumed."""
    ABORTING = "ABORTING"
    """It was asked to stop; its worker ends what runs."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"
    """It failed, and what it had made was deleted again: there is nothing to resume."""
    INTERRUPTED = "INTERRUPTED"
    """Stopped by the user, or its worker vanished; it can be resumed like a failed one."""


class TaskState(StrEnum):
    """Where a task of a job is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    """An attempt failed and another follows."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


class AttemptState(StrEnum):
    """How one attempt at a task stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    """The connection was lost: it may or may not have happened."""
    INTERRUPTED = "INTERRUPTED"


class Operation(StrEnum):
    """What a job does to a cluster; the names of the original's cluster actions, and ours below them."""

    CLUSTER_CREATE = "CLUSTER_CREATE"
    CLUSTER_DELETE = "CLUSTER_DELETE"
    ADD_SERVICES = "ADD_SERVICES"
    CLUSTER_CONFIGURE = "CLUSTER_CONFIGURE"
    CLUSTER_CONFIGURE_WITH_RESTART = "CLUSTER_CONFIGURE_WITH_RESTART"
    STOP_SERVICES = "STOP_SERVICES"
    START_SERVICES = "START_SERVICES"
    RESTART_SERVICES = "RESTART_SERVICES"
    SYNC_TEMPLATE = "SYNC_TEMPLATE"
    SCALE = "SCALE"
    REPLACE_NODES = "REPLACE_NODES"


HOLDING = frozenset({JobState.RUNNING, JobState.PAUSED, JobState.ABORTING})
"""The states in which a job holds its cluster."""

WITHOUT_MACHINE = frozenset({NodeState.PLANNED, NodeState.DELETED})
"""The states in which a node certainly has no machine."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: where an operation may start and where it leads.

    ``nothing_to_do`` are the states in which the operation is already done. While the job runs the cluster is PENDING.
    ``failure_without_machines`` is for a failure when no node has a machine (None: the same as ``failure``);
    ``rolled_back`` for one that was rolled back before it touched any node that was there (None: the same).
    """

    allowed: frozenset[ClusterState]
    success: ClusterState
    failure: ClusterState
    failure_without_machines: ClusterState | None = None
    rolled_back: ClusterState | None = None
    nothing_to_do: frozenset[ClusterState] = frozenset()


_ACTIVE = frozenset({ClusterState.ACTIVE})
_COMPLETE = frozenset({ClusterState.ACTIVE, ClusterState.INCONSISTENT})
_ON_ACTIVE = Rule(_ACTIVE, ClusterState.ACTIVE, ClusterState.INCONSISTENT)
_ON_COMPLETE = Rule(_COMPLETE, ClusterState.ACTIVE, ClusterState.INCONSISTENT)

RULES: Mapping[Operation, Rule] = {
    Operation.CLUSTER_CREATE: Rule(
        allowed=frozenset({ClusterState.INCOMPLETE}),
        success=ClusterState.ACTIVE,
        failure=ClusterState.INCOMPLETE,
        failure_without_machines=ClusterState.TERMINATED,
    ),
    Operation.CLUSTER_DELETE: Rule(
        allowed=frozenset({ClusterState.ACTIVE, ClusterState.INCOMPLETE, ClusterState.INCONSISTENT}),
        success=ClusterState.TERMINATED,
        failure=ClusterState.INCOMPLETE,
        nothing_to_do=frozenset({ClusterState.TERMINATED}),
    ),
    Operation.CLUSTER_CONFIGURE: _ON_COMPLETE,
    Operation.CLUSTER_CONFIGURE_WITH_RESTART: _ON_COMPLETE,
    Operation.REPLACE_NODES: _ON_COMPLETE,
    Operation.ADD_SERVICES: _ON_ACTIVE,
    Operation.STOP_SERVICES: _ON_ACTIVE,
    Operation.START_SERVICES: _ON_ACTIVE,
    Operation.RESTART_SERVICES: _ON_ACTIVE,
    Operation.SYNC_TEMPLATE: _ON_ACTIVE,
    Operation.SCALE: Rule(_ACTIVE, ClusterState.ACTIVE, ClusterState.INCONSISTENT, rolled_back=ClusterState.ACTIVE),
}
"""The table: every operation, the states it may start in, and the states it ends in."""


def operation_named(name: str) -> Operation:
    """The operation called ``name``, in any case. Raises ``InvalidInput`` when there is none."""
    try:
        return Operation(name.upper())
    except ValueError:
        known = ", ".join(Operation)
        raise InvalidInput(f"There is no operation {name!r}", hint=f"The operations are {known}.") from None


def check_allowed(state: ClusterState, operation: Operation, *, cluster: str = "") -> bool:
    """Whether there is something to do: False when ``operation`` is already done in ``state`` (deleting a deleted one).

    ``cluster`` names it in the message. Raises ``Busy`` while a job is running, ``Refused`` when the state forbids it.
    """
    rule = RULES[operation]
    if state in rule.allowed:
        return True
    if state in rule.nothing_to_do:
        return False
    subject = f"Cluster {cluster}" if cluster else "The cluster"
    if state is ClusterState.PENDING:
        raise Busy(
            f"{subject} is busy: {operation} has to wait until the job on it has ended",
            hint="`coopr status` shows it; a paused one goes on with `coopr resume` and ends with `coopr abort`.",
        )
    allowed = " or ".join(sorted(rule.allowed))
    hints = {
        ClusterState.TERMINATED: "The cluster is deleted; create a new one.",
        ClusterState.INCOMPLETE: "`coopr retry` its last job, or `coopr delete` the cluster.",
        ClusterState.INCONSISTENT: "`coopr retry` its last job, or `coopr configure` the cluster.",
    }
    raise Refused(
        f"{subject} is {state}: {operation} needs it to be {allowed}",
        hint=hints.get(state, "`coopr show` tells what the cluster is made of."),
    )


def state_after(operation: Operation, end: JobState, *, any_machine: bool, touched: bool = True) -> ClusterState:
    """What the cluster becomes when a job of ``operation`` ends so; ``any_machine``: some node may have a machine.

    ``touched``: a task of the job ran on a node that was there before and still is.

    An interrupted job counts as failed, but leaves a cluster without machines in place, to be resumed.
    """
    rule = RULES[operation]
    if end is JobState.SUCCEEDED:
        return rule.success
    failed = end in (JobState.FAILED, JobState.ROLLED_BACK)
    if failed and rule.failure_without_machines is not None and not any_machine:
        return rule.failure_without_machines
    if end is JobState.ROLLED_BACK and rule.rolled_back is not None and not touched:
        return rule.rolled_back
    return rule.failure


class Control(StrEnum):
    """What a person does to a cluster's last job."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class ControlRule:
    """One row of the second table: in which states a job can be controlled so, and in which that is done already."""

    allowed: frozenset[JobState]
    nothing_to_do: frozenset[JobState]


CONTROLS: Mapping[Control, ControlRule] = {
    Control.PAUSE: ControlRule(frozenset({JobState.RUNNING}), frozenset({JobState.PAUSED})),
    Control.RESUME: ControlRule(frozenset({JobState.PAUSED}), frozenset({JobState.RUNNING})),
    Control.RETRY: ControlRule(frozenset({JobState.FAILED, JobState.INTERRUPTED}), frozenset({JobState.SUCCEEDED})),
    Control.ABORT: ControlRule(
        frozenset({JobState.RUNNING, JobState.PAUSED, JobState.ABORTING}), frozenset({JobState.INTERRUPTED})
    ),
}
"""The second table: what may be done to a job, and when."""


def check_control(state: JobState, control: Control, *, job: str = "") -> bool:
    """Whether there is something to do: False when the job is in the state wanted already.

    ``job`` names it in the message. Raises ``Busy`` while it has to end first, ``Refused`` when its state forbids it.
    """
    rule = CONTROLS[control]
    if state in rule.allowed:
        return True
    if state in rule.nothing_to_do:
        return False
    subject = job or "The job"
    if control is Control.RETRY and state is JobState.PAUSED:
        raise Refused(f"{subject} is paused, not failed", hint="`coopr resume` continues it.")
    if state in HOLDING:
        raise Busy(f"{subject} is {state}: it has to end before `coopr {control}`", hint="See `coopr status`.")
    hints = {
        JobState.SUCCEEDED: "There is nothing left of it to do.",
        JobState.ROLLED_BACK: "What it had made is gone; start a new one.",
    }
    raise Refused(
        f"{subject} is {state}: there is nothing to {control}", hint=hints.get(state, "`coopr retry` goes on.")
    )


TASK_AFTER_ATTEMPT: Mapping[AttemptState, TaskState] = {
    AttemptState.RUNNING: TaskState.RUNNING,
    AttemptState.SUCCEEDED: TaskState.SUCCEEDED,
    AttemptState.FAILED: TaskState.FAILED,
    AttemptState.UNKNOWN: TaskState.FAILED,
    AttemptState.INTERRUPTED: TaskState.INTERRUPTED,
}
"""What a task becomes with its last attempt."""
