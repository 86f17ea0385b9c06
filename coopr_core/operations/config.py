"""What is wrong with the config of a cluster, before any of its nodes is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coopr_core.model.variables import clashes

if TYPE_CHECKING:
    from coopr_core.errors import Problem
    from coopr_core.model.layout import ClusterLayout


def config_problems(layout: ClusterLayout) -> list[Problem]:
    """Find what is wrong with config and actions on this layout, whatever addresses its nodes will get.

    Those are macros that cannot be resolved, and values that would become one variable of scripts.

    Links with such macros are no problem: they are left out when the cluster's pages are shown.
    """
    from coopr_core.macros import check_macros
    from coopr_core.macros.rendering import fields_path

    services = sorted({service for node in layout.nodes for service in node.services})
    problems = [*check_macros(layout.config, services, "config", config=layout.config), *clashes(layout.config)]
    for service in layout.services.values():
        for name, action in service.actions.items():
            place = fields_path(service.name, name)
            problems += check_macros(action.fields, services, place, config=layout.config, loose=True)
    return problems


def escape_hint(layout: ClusterLayout) -> str:
    """Return the escape as the end of a hint, when the config has text that was perhaps not meant as a macro."""
    from coopr_core.macros import uses
    from coopr_core.macros.syntax import ESCAPE

    fields = [action.fields for service in layout.services.values() for action in service.actions.values()]
    found = [*uses(layout.config), *uses(fields, loose=True)]
    return f"; {ESCAPE}" if any(use.name is None for use in found) else ""
