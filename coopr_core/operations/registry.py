"""What a verb or an operation is: its declaration, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from coopr_core.errors import CooprError
from coopr_core.model.operations import Operation, Verb
from coopr_core.operations.declaration import Declaration


def declaration(verb: Verb) -> Declaration:
    """Return what ``verb`` asks for. Raises ``CooprError`` when its module does not declare it."""
    try:
        return cast(Declaration, getattr(import_module(verb.module), verb.constant))
    except (ImportError, AttributeError) as error:
        raise CooprError(
            f"{verb.command!r} cannot be loaded: {error}",
            hint=f"the module {verb.module} has to declare {verb.constant}",
        ) from error


def declaration_of(operation: Operation) -> Declaration:
    """Return what ``operation`` is beside its row in the table."""
    return declaration(operation.verb)
