"""Config of templates in which two values would become one variable of scripts; a cluster of it could not be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.catalog.places import Finding
from coopr_core.model.variables import clashes


def of_templates(templates: Iterable[ClusterTemplate]) -> Iterator[Finding]:
    """Yield the values of each template's default config that become the same variable as another."""
    for template in templates:
        for problem in clashes(template.defaults.config, "defaults.config"):
            yield Finding(template, tuple(problem.path.split(".")), problem.message)
