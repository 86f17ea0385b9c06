"""What an automator plug-in must do: prepare a node for itself once, then run actions of services on it.

A plug-in is a class named by an entry point of the group ``coopr.automators``, made with its settings. It says which
fields an action of its type has and which settings it has itself as pydantic models; from them come the checks of the
catalog, forms and docs. Only ``run`` has to be written; ``program.ProgramAutomator`` is the base of those whose actions
are programs on the node. What every node needs (folders, the services' files, the task's JSON) is none of its business:
see ``preparation`` and ``task_files``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import ValidationError

from coopr_core.automators.context import TaskContext
from coopr_core.automators.task_files import read_record, remove_record
from coopr_core.catalog.entities import Service
from coopr_core.documents.explanation import explain
from coopr_core.documents.paths import path_text
from coopr_core.errors import InvalidInput, Problem
from coopr_core.macros import uses
from coopr_core.providers.settings import Declared, PlugInSettings

if TYPE_CHECKING:
    from coopr_core.remote.session import Session


class ActionFields(Declared):
    """The base of an automator's ``fields_type``: what there is to fill in for an action of its type.

    ``required_sets`` are the combinations of fields of which at least one must be given in full.
    """

    required_sets: ClassVar[tuple[tuple[str, ...], ...]] = ()


class AutomatorSettings(PlugInSettings):
    """The base of an automator's ``settings_type``: what an installation says about it, for all clusters."""

    @classmethod
    def checked(cls, values: Mapping[str, Any] | None, automator: str) -> Self:
        """Return the settings from outside. Raises ``InvalidInput`` with everything wrong in them."""
        hint = "Correct them in coopr.yaml, below 'automators'."
        return cls.accepted(values, f"{automator} automator", f"automators.{automator}", hint)


@dataclass(frozen=True, slots=True)
class Result:
    """What an action did. ``exit_status`` 0 is success; ``tail`` are the last lines of output, redacted.

    ``properties`` are what later tasks of the cluster are told of the node. ``unprepared`` says that nothing was run
    because the node does not hold (any more) what BOOTSTRAP brings: it is brought again then, and the action run once
    more.
    """

    exit_status: int = 0
    tail: Sequence[str] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    unprepared: bool = False


F = TypeVar("F", bound=ActionFields)


class Automator(ABC, Generic[F]):
    """Makes services on machines. Used from many threads at once, one per node."""

    fields_type: type[F]
    settings_type: ClassVar[type[AutomatorSettings]] = AutomatorSettings
    resources: ClassVar[tuple[str, ...]] = ()
    """What services with actions of this type need on their nodes besides what they name, where the catalog has it."""
    on_node: ClassVar[bool] = False
    """Whether actions run in the node's folders, with the task's files, which stay there as a record of them."""
    name: str = ""
    """What it is registered as, which is the ``type`` of the actions it runs."""

    def __init__(self, settings: AutomatorSettings | None = None) -> None:
        """Take settings of the ``settings_type``; None is its defaults."""
        self.settings = settings or self.settings_type()

    def check(self, action: str, service: Service) -> list[Problem]:
        """Return everything wrong with an action of a service, found without connecting to anything.

        Each problem names the service, the action and the place. Values with macros are looked at when they are known.
        """
        return list(self.problems(action, service, service.actions[action].fields, expanded=False))

    def problems(self, action: str, service: Service, given: Mapping[str, Any], *, expanded: bool) -> Iterator[Problem]:
        """Yield what is wrong with the fields of an action; ``expanded``: macros in them are."""
        for name, message in _flaws(self.fields_type, given, self.name, expanded):
            yield field_problem(action, service, name, message)

    def fields(self, context: TaskContext) -> F:
        """Return the fields of a task's action. Raises ``InvalidInput`` with every problem found."""
        _ = context.definition
        action, service = context.action.lower(), context.acting
        if problems := list(self.problems(action, service, context.fields, expanded=True)):
            raise InvalidInput(
                f"action {action!r} of service {service.name!r} cannot be run",
                hint="Correct the service in the catalog: `coopr catalog validate` shows all such problems.",
                problems=problems,
            )
        return self.fields_type.model_validate(_without_null(context.fields))

    def bootstrap(self, context: TaskContext, session: Session) -> Result:
        """Prepare the node for this automator, such as by installing a tool. Idempotent, also when some of it is gone.

        The node's folders and the services' files are there already when any automator of its services is ``on_node``.
        """
        return Result()

    @abstractmethod
    def run(self, context: TaskContext, session: Session) -> Result:
        """Run the task's action of its service and wait for its end."""

    def record(self, task_id: str, root: str, session: Session) -> Mapping[str, Any]:
        """Return the JSON a task was run with, as it is on the node now. Raises ``NotFound`` when it is not there."""
        return read_record(task_id, acting_session(session, root), root)

    def forget(self, task_id: str, root: str, session: Session) -> None:
        """Remove what a task left on the node; gone is fine."""
        remove_record(task_id, acting_session(session, root), root)


def acting_session(session: Session, root: str) -> Session:
    """Return the session of who owns services: root on a real machine; on a local node the user we log in as."""
    return session.as_root() if root == "/" else session


def field_problem(action: str, service: Service, name: str, message: str) -> Problem:
    """Return a problem of one field of an action, or with an empty ``name`` of all of them."""
    place = f"provisioner.actions.{action}.fields"
    path = f"{place}.{name}" if name else place
    return Problem(f"service {service.name!r}, action {action!r}: {message}", path=path)


def _flaws(
    model: type[ActionFields], given: Mapping[str, Any], automator: str, expanded: bool
) -> Iterator[tuple[str, str]]:
    known = list(model.model_fields)
    for name in given:
        if name not in known:
            yield name, f"unknown field {name!r}; the {automator} automator knows {', '.join(known) or 'none'}"
    values = {name: value for name, value in _without_null(given).items() if name in known}
    if model.required_sets and not any(all(values.get(name) for name in names) for names in model.required_sets):
        choice = " or ".join("+".join(map(repr, names)) for names in model.required_sets)
        yield "", f"needs {'either ' if len(model.required_sets) > 1 else ''}{choice}"
    try:
        model.model_validate(values)
    except ValidationError as error:
        for path, message in explain(error, model, values):
            name = str(path[0]) if path else ""
            if expanded or not any(uses(values.get(name), loose=True)):
                yield (
                    path_text(path),
                    f"{name!r} {message}" if message.startswith("must be ") else f"{name!r}: {message}",
                )


def _without_null(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
