"""What an automator plug-in must do: prepare a node once, then run actions of services on it.

A plug-in is a class named by an entry point of the group ``coopr.automators``, made without arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from coopr_core.catalog.entities import Service

if TYPE_CHECKING:
    from coopr_core.remote.session import Session


@dataclass(frozen=True, slots=True)
class NodeInputs:
    """All that one task may know about the node it works on, macros expanded.

    ``task_json`` is the task's JSON as it is written to the node (section 12 of the original's semantics);
    ``services`` are the node's own, in name order; ``root`` is the folder the node's absolute paths live below.
    """

    task_id: str
    host_name: str
    number: int
    root: str
    services: Sequence[Service]
    task_json: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What an action did. ``exit_status`` 0 is success; ``tail`` are the last lines of output, redacted.

    ``unprepared`` says that nothing was run because the node does not hold (any more) what ``bootstrap`` brings: it is
    brought again then, and the action run once more.
    """

    exit_status: int = 0
    tail: Sequence[str] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    unprepared: bool = False


class Automator(Protocol):
    """Makes services on machines."""

    def bootstrap(self, node: NodeInputs, session: Session) -> Result:
        """Prepare the node for this automator: send the services' files. Idempotent, also when some of it is gone."""

    def run(self, action: str, service: Service, node: NodeInputs, session: Session) -> Result:
        """Run one action of a service and wait for its end."""


@runtime_checkable
class KeepsRecords(Protocol):
    """What an automator may offer besides: the record of a task on its node, for who looks for drift."""

    def record(self, task_id: str, root: str, session: Session) -> Mapping[str, Any]:
        """The JSON a task was run with, as it is on the node now. Raises ``NotFound`` when it is not there."""

    def forget(self, task_id: str, root: str, session: Session) -> None:
        """Remove what a task left on the node; gone is fine."""
