"""The operations on clusters: the one table that everything about them is read from.

Promise: what an operation is called, in which states it may start and where it leads, what it asks of nodes and how
people ask for it stands in its row of ``Operation`` and nowhere else. The store reads the rules, the planner the
courses; flows, deployments, commands and docs are derived. What an operation prepares and how it ends is in its module
of ``coopr_core.operations``. Those of other packages are found by the entry point ``coopr.operations``, which is called
like the operation. Every look-up is constant time.

The first eight operations and the states are the original's (sections 6 and 7 of its semantics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import entry_points

from coopr_core.errors import Busy, InvalidInput, Refused
from coopr_core.model import courses as shared
from coopr_core.model.courses import MAKING, UP, Action, Along, Course, Scope, texts
from coopr_core.model.states import ClusterState, JobState
from coopr_core.plug_ins import load_plug_in

GROUP = "coopr.operations"
"""The group of entry points of operations of other packages; each leads to a ``Declaration``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where an operation may start and where it leads.

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


@dataclass(frozen=True, slots=True)
class Verb:
    """How people ask for something: ``flow`` is a function of ``flows``, ``command`` one of `coopr`.

    ``summary`` is the help of the command in one line. ``home`` is the module that declares what it is, where that is
    not the one of ``coopr_core.operations`` that is called like the command.
    """

    flow: str
    command: str
    summary: str
    home: str = ""

    @property
    def module(self) -> str:
        """The module that declares what it is."""
        return self.home or f"coopr_core.operations.{self.command.replace('-', '_')}"

    @property
    def constant(self) -> str:
        """The name of the declaration in that module."""
        return self.command.replace("-", "_").upper()

    @property
    def flow_name(self) -> str:
        """What Prefect calls the flow."""
        return self.flow.replace("_", "-")


_ACTIVE = frozenset({ClusterState.ACTIVE})
_COMPLETE = frozenset({ClusterState.ACTIVE, ClusterState.INCONSISTENT})

ON_ACTIVE = Rule(_ACTIVE, ClusterState.ACTIVE, ClusterState.INCONSISTENT)
"""For operations on a cluster that is as it should be."""

ON_COMPLETE = Rule(_COMPLETE, ClusterState.ACTIVE, ClusterState.INCONSISTENT)
"""For operations that also mend a cluster whose machines are all there."""

_CONFIGURE = Verb("configure_cluster", "configure", "Change a cluster's config; show what differs first.")


class Operation(StrEnum):
    """What a job does to a cluster; each with its rule, how people ask for it, and its courses over the nodes."""

    rule: Rule
    verb: Verb
    courses: tuple[Course, ...]

    def __new__(cls, name: str, rule: Rule = ON_ACTIVE, verb: Verb = _CONFIGURE, *several: Course) -> Operation:
        """Make the operation of a row; called with a name alone it is found, by ``EnumType``."""
        made = str.__new__(cls, name)
        made._write(name, rule, verb, several)
        return made

    def _write(self, name: str, rule: Rule, verb: Verb, several: tuple[Course, ...]) -> None:
        self._value_ = name
        self.rule = rule
        self.verb = verb
        self.courses = tuple(course if course.name else replace(course, name=name) for course in several)

    CLUSTER_CREATE = (
        "CLUSTER_CREATE",
        Rule(
            allowed=frozenset({ClusterState.INCOMPLETE}),
            success=ClusterState.ACTIVE,
            failure=ClusterState.INCOMPLETE,
            failure_without_machines=ClusterState.TERMINATED,
        ),
        Verb("create_cluster", "create", "Create a cluster from a template."),
        Course((*MAKING, *UP), machines=True),
    )
    CLUSTER_DELETE = (
        "CLUSTER_DELETE",
        Rule(
            allowed=frozenset({ClusterState.ACTIVE, ClusterState.INCOMPLETE, ClusterState.INCONSISTENT}),
            success=ClusterState.TERMINATED,
            failure=ClusterState.INCOMPLETE,
            nothing_to_do=frozenset({ClusterState.TERMINATED}),
        ),
        Verb("delete_cluster", "delete", "Delete a cluster and all its machines."),
        Course(texts(Action.DELETE), machines=True, ordered=False),
    )
    ADD_SERVICES = (
        "ADD_SERVICES",
        ON_ACTIVE,
        Verb("add_services", "add-services", "Put more services on the nodes of a cluster."),
        shared.ADD_SERVICES,
    )
    CLUSTER_CONFIGURE = "CLUSTER_CONFIGURE", ON_COMPLETE, _CONFIGURE, shared.CONFIGURE
    CLUSTER_CONFIGURE_WITH_RESTART = "CLUSTER_CONFIGURE_WITH_RESTART", ON_COMPLETE, _CONFIGURE, shared.RECONFIGURE
    STOP_SERVICES = (
        "STOP_SERVICES",
        ON_ACTIVE,
        Verb("stop_services", "stop", "Stop services of a cluster, and first what depends on them."),
        Course(texts(Action.STOP), along=Along.DEPENDANTS, rolling=True),
    )
    START_SERVICES = (
        "START_SERVICES",
        ON_ACTIVE,
        Verb("start_services", "start", "Start services of a cluster, and first what they need."),
        Course(texts(Action.START), along=Along.NEEDED, rolling=True),
    )
    RESTART_SERVICES = (
        "RESTART_SERVICES",
        ON_ACTIVE,
        Verb("restart_services", "restart", "Restart services of a cluster, all at once or rolling."),
        Course(texts(Action.STOP, Action.START), along=Along.DEPENDANTS, rolling=True),
    )
    SYNC_TEMPLATE = (
        "SYNC_TEMPLATE",
        ON_ACTIVE,
        Verb("sync_cluster", "sync", "Bring a cluster to today's version of its template."),
        shared.RECONFIGURE,
        shared.CONFIGURE,
    )
    SCALE = (
        "SCALE",
        replace(ON_ACTIVE, rolled_back=ClusterState.ACTIVE),
        Verb("scale_cluster", "scale", "Give a cluster more or fewer nodes."),
        shared.SCALE_OUT,
        shared.SCALE_IN,
    )
    REPLACE_NODES = (
        "REPLACE_NODES",
        ON_COMPLETE,
        Verb("replace_nodes", "replace", "Make nodes of a cluster anew, under the same names."),
        Course((*texts(Action.DELETE), *MAKING, *UP), Scope.NAMED, machines=True),
    )

    @property
    def installs(self) -> bool:
        """Whether it puts services on a cluster that runs."""
        new = any(Action.INSTALL in course.actions for course in self.courses)
        return new and ClusterState.INCOMPLETE not in self.rule.allowed

    @classmethod
    def declare(cls, name: str, rule: Rule, verb: Verb, *several: Course) -> Operation:
        """Return the operation of another package; declaring the same again changes nothing.

        Raises ``ValueError`` when there is another one of that name already.
        """
        known = cls._value2member_map_.get(name)
        made = cls._unlisted(name, rule, verb, *several)
        if known is not None:
            if not isinstance(known, cls) or known._row() != made._row():
                raise ValueError(f"there is an operation {name} already, and it is another one")
            return known
        cls._value2member_map_[name] = made
        return made

    @classmethod
    def _unlisted(cls, name: str, rule: Rule, verb: Verb, *several: Course) -> Operation:
        """Make an operation that is not of the table; an enumeration's own ``__new__`` only finds."""
        made = str.__new__(cls, name)
        made._name_ = name
        made._write(name, rule, verb, several)
        return made

    @classmethod
    def recorded(cls, name: str) -> Operation:
        """Return the operation that a record names; one that can only be read of when its package is gone."""
        try:
            return cls(name)
        except ValueError:
            gone = Verb(name.lower(), name.lower().replace("_", "-"), "What a package did that is not installed.")
            return cls._unlisted(name, ON_ACTIVE, gone)

    def _row(self) -> tuple[Rule, Verb, tuple[Course, ...]]:
        return self.rule, self.verb, self.courses

    @classmethod
    def _missing_(cls, value: object) -> Operation | None:
        """Look for an operation of another package."""
        for found in tuple(entry_points(group=GROUP, name=str(value)))[:1]:
            load_plug_in(found, f"operation {value!r}")
        known = cls._value2member_map_.get(value)
        return known if isinstance(known, cls) else None


def operations() -> tuple[Operation, ...]:
    """Return every operation: those of the table, then those of other packages by name."""
    names = sorted(set(entry_points(group=GROUP).names))
    return (*Operation, *(found for name in names if (found := Operation(name)) not in tuple(Operation)))


COURSES: Mapping[str, Course] = {course.name: course for operation in Operation for course in operation.courses}
"""The courses of the table, by name."""


def courses() -> tuple[Course, ...]:
    """Return every course, also those of operations of other packages."""
    return tuple({course.name: course for operation in operations() for course in operation.courses}.values())


def course_named(name: str) -> Course | None:
    """Return the course called ``name``, also an operation's of another package; None when there is none."""
    if name in COURSES:
        return COURSES[name]
    return next((course for course in courses() if course.name == name), None)


def operation_named(name: str) -> Operation:
    """Return the operation called ``name``, in any case. Raises ``InvalidInput`` when there is none."""
    try:
        return Operation(name.upper())
    except ValueError:
        known = ", ".join(operations())
        raise InvalidInput(f"There is no operation {name!r}", hint=f"The operations are {known}.") from None


def check_allowed(state: ClusterState, operation: Operation, *, cluster: str = "") -> bool:
    """Return whether there is something to do: False when it is already done in ``state`` (deleting a deleted one).

    ``cluster`` names it in the message. Raises ``Busy`` while a job is running, ``Refused`` when the state forbids it.
    """
    rule = operation.rule
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
    """Return what the cluster becomes when a job of ``operation`` ends so.

    ``any_machine``: some node may have a machine; ``touched``: a task of the job ran on a node that was there before
    and still is. An interrupted job counts as failed, but leaves a cluster without machines in place, to be resumed.
    """
    rule = operation.rule
    if end is JobState.SUCCEEDED:
        return rule.success
    failed = end in (JobState.FAILED, JobState.ROLLED_BACK)
    if failed and rule.failure_without_machines is not None and not any_machine:
        return rule.failure_without_machines
    if end is JobState.ROLLED_BACK and rule.rolled_back is not None and not touched:
        return rule.rolled_back
    return rule.failure
