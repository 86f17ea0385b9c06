"""``solve``: a catalog and a request in, a cluster layout out, or the reasons why there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace as having

from coopr_core.errors import InvalidInput
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.request import ClusterRequest
from coopr_core.solver.assembly import Uneven, layout_of, nodes_of
from coopr_core.solver.change.cluster import change
from coopr_core.solver.change.service_counts import count_services
from coopr_core.solver.choice import Choice, Entities, choose
from coopr_core.solver.question import ask
from coopr_core.solver.search.batches import count_nodes

ZONES_TRIED = 16
"""How many sizes are tried for one whose nodes can be spread evenly over the zones, when no size is asked for."""


def solve(
    catalog: Entities,
    request: ClusterRequest,
    current: ClusterLayout | None = None,
    *,
    replace: Collection[int] = (),
    counts: Mapping[str, int] | None = None,
) -> ClusterLayout:
    """Return the layout of the cluster that ``request`` asks for.

    The answer is the first layout in the order of preference (or the cheapest, with ``request.optimize = "cost"``), and
    always the same; a request without a size gets the least that has one. With ``current`` the cluster is changed
    instead, and no node that stays moves: services of the request that are not on it yet are added, more or fewer nodes
    (``request.size``) are added or leave, and the nodes whose numbers are in ``replace`` are made anew from today's
    catalog. ``counts`` asks, instead of all that, for so many nodes with each service named: by new nodes, or by the
    newest ones leaving.

    Raises:
        NotFound: something named does not exist.
        InvalidInput: the request cannot be meant (sizes out of bounds, incompatible choices, missing dependencies).
        Unsatisfiable: no layout exists; carries the clashing constraints and the ways out.
    """
    if counts is not None:
        if current is None or replace:
            raise InvalidInput("only a cluster that is there can be scaled by service", hint="one change at a time")
        return count_services(catalog, request, current, counts)
    if current is not None:
        return change(catalog, request, current, replace)
    if replace:
        raise InvalidInput(
            "a new cluster has no nodes to replace", hint="name the cluster whose nodes shall be replaced"
        )
    choice = choose(catalog, request)
    return _layout(choice, request) if choice.size_asked else _least_layout(choice, request)


def _layout(choice: Choice, request: ClusterRequest) -> ClusterLayout:
    """Return the layout of a new cluster of the size of ``choice``."""
    question = ask(choice, by_cost=request.optimize == "cost")
    problem = question.problem()
    if request.optimize == "cost":
        from coopr_core.solver.search.cost import count_cheapest

        batches = count_cheapest(problem, choice.size)
    else:
        batches = count_nodes(problem, choice.size)
    if batches is None:
        raise question.refusal()
    return layout_of(choice, request, nodes_of(choice, problem, batches, request))


def _least_layout(choice: Choice, request: ClusterRequest) -> ClusterLayout:
    """Return the layout of the least size that has one; the least the template allows need not."""
    question, most = ask(choice), choice.template.constraints.size.max
    size, uneven = question.least_size(question.constraints, choice.size, most), None
    for _ in range(ZONES_TRIED):
        if size is None:
            break
        try:
            return _layout(having(choice, size=size), request)
        except Uneven as error:
            uneven = uneven or error
            size = question.least_size(question.constraints, size + 1, most)
    raise uneven or question.refusal()
