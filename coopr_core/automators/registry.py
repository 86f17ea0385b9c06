"""Which automators are installed, and how one is made: by the name of its entry point, with its settings.

Promise: only the plug-in asked for is imported; an unknown type is refused with the known ones, and with the service
and action that asked for it when they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast

from coopr_core.automators.contract import Automator
from coopr_core.errors import CooprError, NotFound
from coopr_core.suggestions import did_you_mean

GROUP = "coopr.automators"
"""The entry-point group plug-ins register in."""


def automator_types() -> tuple[str, ...]:
    """Return the names of the installed automators, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def automator_class(kind: str, *, service: str = "", action: str = "") -> type[Automator[Any]]:
    """Return the plug-in called ``kind``. Raises ``NotFound`` for one that is not installed."""
    found = tuple(entry_points(group=GROUP, name=kind))
    if not found:
        known = automator_types()
        asking = f"service {service!r}, action {action!r}: " if service else ""
        raise NotFound(
            f"{asking}there is no automator {kind!r}; installed are: {', '.join(known) or 'none'}",
            hint=did_you_mean(kind, known, f"An automator is a package with an entry point in {GROUP}.", form="{!r}"),
        )
    try:
        return cast(type[Automator[Any]], found[0].load())
    except (ImportError, AttributeError) as error:
        raise CooprError(
            f"automator {kind!r} cannot be loaded from {found[0].value}: {error}",
            hint="Install what it needs, or reinstall the package that has it.",
        ) from error


def load_automator(
    kind: str, settings: Mapping[str, Any] | None = None, *, service: str = "", action: str = ""
) -> Automator[Any]:
    """Return the automator called ``kind``, which is the ``type`` of a service's action.

    Raises ``NotFound`` for an unknown one, ``InvalidInput`` for settings that are not its own.
    """
    plug = automator_class(kind, service=service, action=action)
    automator = plug(plug.settings_type.checked(settings, kind))
    automator.name = kind
    return automator
