"""The states of clusters, nodes, jobs, tasks and attempts, and the table of what may be done to a job in which.

Promise: whether a job may be paused, resumed, retried or aborted is read from ``CONTROLS`` and nowhere else. Every
look-up is constant time. The states are those of the original (sections 6 and 7 of its semantics); what may be done to
a cluster in which is in ``operations``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from coopr_core.errors import Busy, Refused


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


HOLDING = frozenset({JobState.RUNNING, JobState.PAUSED, JobState.ABORTING})
"""The states in which a job holds its cluster."""

WITHOUT_MACHINE = frozenset({NodeState.PLANNED, NodeState.DELETED})
"""The states in which a node certainly has no machine."""


class Control(StrEnum):
    """What a person does to a cluster's last job."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class ControlRule:
    """One row of the table: in which states a job can be controlled so, and in which that is done already."""

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
"""The table: what may be done to a job, and when."""


def check_control(state: JobState, control: Control, *, job: str = "") -> bool:
    """Return whether there is something to do: False when the job is in the state wanted already.

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
