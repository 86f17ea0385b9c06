"""Templates whose own defaults have no layout: of no size at all, or not of the least size they allow.

The solver stands above the catalog, so the caller hands it in: ``unsolvable(catalog, solve)``. Cost: one solve a
template, and another where the least size has no layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from coopr_core.catalog.places import Finding
from coopr_core.errors import CooprError, Problem
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.request import ClusterRequest

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog

Solve = Callable[["Catalog", ClusterRequest], ClusterLayout]
"""``solver.solve``."""


def unsolvable(catalog: Catalog, solve: Solve) -> list[Problem]:
    """Return a warning for every template whose defaults have no layout of its least size, naming those that have."""
    problems = []
    for template in catalog.templates.values():
        request = ClusterRequest(name="check", template=template.name)
        least = template.constraints.size.min or 1
        try:
            nodes = len(solve(catalog, request).nodes)
        except CooprError as error:
            what = f"no size has a layout with the defaults: {error.message}"
        else:
            if nodes == least:
                continue
            sizes = _working(catalog, solve, request.model_copy(update={"size": least})) or str(nodes)
            what = f"its least size, {least}, has no layout with the defaults; sizes that have one: {sizes}"
        problems.append(catalog.problem(Finding(template, ("constraints", "size"), what)))
    return problems


def _working(catalog: Catalog, solve: Solve, request: ClusterRequest) -> str:
    """Return the sizes that work where that of ``request`` does not, as its refusal has them."""
    try:
        solve(catalog, request)
    except CooprError as error:
        span, sizes = getattr(error, "span", None), getattr(error, "sizes", ())
        return str(span) if span else ", ".join(map(str, sizes))
    return ""
