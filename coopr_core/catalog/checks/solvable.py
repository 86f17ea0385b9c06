"""Templates that have no layout with their own defaults, whatever the size.

The solver stands above the catalog, so the caller hands it in: ``unsolvable(catalog, solve)``. Cost: one solve a
template.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from coopr_core.catalog.places import Finding
from coopr_core.cluster.request import ClusterRequest
from coopr_core.errors import CooprError, Problem

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog


def unsolvable(catalog: Catalog, solve: Callable[[Catalog, ClusterRequest], object]) -> list[Problem]:
    """A warning for every template whose defaults have no layout of its least size, with the sizes that have one."""
    problems = []
    for template in catalog.templates.values():
        try:
            solve(catalog, ClusterRequest(name="check", template=template.name))
        except CooprError as error:
            sizes = ", ".join(str(size) for size in getattr(error, "sizes", ()))
            least = template.constraints.size.min or 1
            if sizes:
                what = f"its least size, {least}, has no layout with the defaults; sizes that have one: {sizes}"
            else:
                what = f"no size has a layout with the defaults: {error.message}"
            problems.append(catalog.problem(Finding(template, ("constraints", "size"), what)))
    return problems
