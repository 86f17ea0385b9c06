"""Which automators are installed, and how one is made: by the name of its entry point.

Promise: only the plug-in asked for is imported; an unknown type is refused with the known ones, and with the service
and action that asked for it when they are given.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from coopr_core.automators.contract import Automator
from coopr_core.errors import CooprError, NotFound
from coopr_core.suggestions import did_you_mean

GROUP = "coopr.automators"
"""The entry-point group plug-ins register in."""


def automator_types() -> tuple[str, ...]:
    """The names of the installed automators, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load_automator(kind: str, *, service: str = "", action: str = "") -> Automator:
    """The automator called ``kind``, which is the ``type`` of a service's action. Raises ``NotFound`` for another."""
    found = tuple(entry_points(group=GROUP, name=kind))
    if not found:
        known = automator_types()
        asking = f"service {service!r}, action {action!r}: " if service else ""
        raise NotFound(
            f"{asking}there is no automator {kind!r}; installed are: {', '.join(known) or 'none'}",
            hint=did_you_mean(kind, known, f"An automator is a package with an entry point in {GROUP}.", form="{!r}"),
        )
    try:
        return cast(Automator, found[0].load()())
    except (ImportError, AttributeError) as error:
        raise CooprError(
            f"automator {kind!r} cannot be loaded from {found[0].value}: {error}",
            hint="Install what it needs, or reinstall the package that has it.",
        ) from error
