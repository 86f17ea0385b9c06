"""The actions that tasks take, and the courses of them that operations send nodes through.

Promise: an action is written here once, in capitals as plans and records have it; catalogs name the same in lower case.
A course is data: what it asks of each node of a layout is the planner's to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Action(StrEnum):
    """What a task does to a node, or to one service of it; in the order they follow each other on a node made anew."""

    DELETE = "DELETE"
    CREATE = "CREATE"
    CONFIRM = "CONFIRM"
    BOOTSTRAP = "BOOTSTRAP"
    STOP = "STOP"
    REMOVE = "REMOVE"
    INSTALL = "INSTALL"
    CONFIGURE = "CONFIGURE"
    INITIALIZE = "INITIALIZE"
    START = "START"
    HEALTH = "HEALTH"


def texts(*actions: Action) -> tuple[str, ...]:
    """Return actions as plans and records have them: plain text, which is quick to compare a million times."""
    return tuple(action.value for action in actions)


NODE_ACTIONS = texts(Action.DELETE, Action.CREATE, Action.CONFIRM, Action.BOOTSTRAP)
"""Actions on the machine itself, in the order they follow each other when a node is replaced."""

SERVICE_ACTIONS = tuple(action for action in texts(*Action) if action not in NODE_ACTIONS)
"""Actions on one service of a node."""

LIFE = texts(Action.INSTALL, Action.CONFIGURE, Action.INITIALIZE, Action.START, Action.STOP, Action.REMOVE)
"""The actions that change a service, in the order of its life."""

MAKING = texts(Action.CREATE, Action.CONFIRM)
"""What makes a machine; where it fails, another machine may do."""

MACHINE_ACTIONS = texts(Action.CREATE, Action.CONFIRM, Action.DELETE)
"""What a provider does alone: neither an automator nor a password is needed."""


class Scope(Enum):
    """Which nodes and services a course is for."""

    ALL = "all"
    """Those asked for; all when none is named."""
    NAMED = "named"
    """Nodes to be made anew, which must be named."""
    CHANGED = "changed"
    """Only what must take a new configuration, where that is known."""
    NEW = "new"
    """What differs from the layout as it is now, where that is known."""
    DIFFERENCE = "difference"
    """What differs from the layout as it is now, which must be known."""


class Along(Enum):
    """Which services come along with those that are named."""

    NOTHING = "nothing"
    NEEDED = "needed"
    """What they depend on."""
    DEPENDANTS = "dependants"
    """What depends on them."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is asked of nodes: ``actions`` in order, those on the machine first.

    ``name`` is how plans and plan files call it: like its operation, unless that has several. ``machines``: nodes
    without any service take part too (rule D8). ``ordered`` False: no service waits for another. ``rolling``: it can be
    done batch by batch.
    """

    actions: tuple[str, ...]
    scope: Scope = Scope.ALL
    along: Along = Along.NOTHING
    machines: bool = False
    ordered: bool = True
    rolling: bool = False
    name: str = ""

    @property
    def adapts(self) -> bool:
        """Whether services may take a new configuration along with it."""
        return self.scope is not Scope.ALL


UP = texts(Action.BOOTSTRAP, Action.INSTALL, Action.CONFIGURE, Action.INITIALIZE, Action.START)
"""What brings services up on a machine that answers."""

CONFIGURE = Course(texts(Action.BOOTSTRAP, Action.CONFIGURE), Scope.CHANGED, name="CLUSTER_CONFIGURE")
RECONFIGURE = Course(
    texts(Action.BOOTSTRAP, Action.STOP, Action.CONFIGURE, Action.START),
    Scope.CHANGED,
    name="CLUSTER_CONFIGURE_WITH_RESTART",
)
ADD_SERVICES = Course(UP, Scope.NEW, name="ADD_SERVICES")
SCALE_OUT = Course((*MAKING, *UP), Scope.DIFFERENCE, name="SCALE_OUT")
SCALE_IN = Course(texts(Action.STOP, Action.REMOVE, Action.DELETE), Scope.DIFFERENCE, name="SCALE_IN")
"""These courses are also parts of others: what adapts is configured, what differs is added or removed."""
