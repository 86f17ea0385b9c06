"""All that people can ask of clusters by a flow and a command, and what each of it is.

Promise: what is no operation of its own (a rebuild is two, the rest steers a job) has its line here, operations have
theirs in the table of ``coopr_core.model.operations``; a declaration is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from coopr_core.errors import CooprError
from coopr_core.model.operations import Operation, Verb, operations

if TYPE_CHECKING:
    from coopr_core.operations.declaration import Declaration

REBUILD = Verb("rebuild_cluster", "rebuild", "Make a cluster again from its request, then delete the old one.")

_CONTROL = "coopr_core.operations.control"
RETRY = Verb("retry_cluster", "retry", "Run what has not succeeded of a cluster's last job.", _CONTROL)
PAUSE = Verb("pause_cluster", "pause", "Pause a cluster's running job: what runs ends, nothing new starts.", _CONTROL)
RESUME = Verb("resume_cluster", "resume", "Continue a cluster's paused job.", _CONTROL)
ABORT = Verb("abort_cluster", "abort", "End a cluster's job and the commands it runs.", _CONTROL)


def verbs() -> tuple[Verb, ...]:
    """Return what can be asked for: each operation, then a rebuild, then what steers the last job."""
    return tuple(dict.fromkeys((*(each.verb for each in operations()), REBUILD, RETRY, PAUSE, RESUME, ABORT)))


def declaration(verb: Verb) -> Declaration:
    """Return what ``verb`` asks for. Raises ``CooprError`` when its module does not declare it."""
    try:
        return cast("Declaration", getattr(import_module(verb.module), verb.constant))
    except (ImportError, AttributeError) as error:
        raise CooprError(
            f"{verb.command!r} cannot be loaded: {error}",
            hint=f"the module {verb.module} has to declare {verb.constant}",
        ) from error


def declaration_of(operation: Operation) -> Declaration:
    """Return what ``operation`` is beside its row in the table."""
    return declaration(operation.verb)
