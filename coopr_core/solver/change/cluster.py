"""Changing a running cluster: more services, more nodes, fewer nodes, a node made anew. Nodes that stay never move.

* More nodes: the new nodes are counted as for a new cluster, over what the nodes already there leave of every minimum
  and maximum.
* Fewer nodes: the newest leave first, but never so that a service falls below its minimum or loses its last node.
* More services: see ``adding``.
* A replaced node keeps number, host name and services, and takes today's flavor, image and price of its types.

A request for several of these is done in the order above. Cost: as for a new cluster of the added nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.request import ClusterRequest
from coopr_core.solver.assembly import layout_of, nodes_of, offered, with_alternatives
from coopr_core.solver.change.additions import add_services
from coopr_core.solver.change.departures import can_leave, leaving
from coopr_core.solver.choice import Choice, Entities, choose
from coopr_core.solver.constraints import Constraint, Kind, constraints_of
from coopr_core.solver.explanation import explain
from coopr_core.solver.question import Question
from coopr_core.solver.search.batches import count_nodes
from coopr_core.solver.search.problem import quantities


def change(
    catalog: Entities, request: ClusterRequest, current: ClusterLayout, replaced: Collection[int] = ()
) -> ClusterLayout:
    """Return the layout of ``current`` after the changes ``request`` asks for."""
    nodes = list(current.nodes)
    if not nodes:
        raise InvalidInput("the cluster has no nodes to change", hint="create it first")
    present = sorted({*current.services, *(name for node in nodes for name in node.services)})
    choice = choose(catalog, request, present, len(nodes))
    before = replace(choice, services={name: choice.services[name] for name in present})
    if choice.size > len(nodes):
        nodes = grow(before, request, nodes)
    elif choice.size < len(nodes):
        nodes = shrink(before, nodes)
    added = [name for name in dict.fromkeys(request.services or ()) if name not in present]
    if added:
        nodes = add_services(choice, nodes, added)
    unknown = sorted(set(replaced) - {node.number for node in nodes})
    if unknown:
        known = ", ".join(str(node.number) for node in nodes)
        raise NotFound(f"the cluster has no node {unknown[0]}", hint=f"its nodes are: {known}")
    anew = {n.number: n for n in with_alternatives(choice, [offered(choice, n) for n in nodes if n.number in replaced])}
    nodes = [anew.get(node.number, node) for node in nodes]
    return layout_of(choice, request, nodes)


def grow(choice: Choice, request: ClusterRequest, present: Sequence[Node]) -> list[Node]:
    """Return ``present`` and new nodes up to the size of ``choice``."""
    used = Counter(name for node in present for name in node.services)
    question = Question(choice, constraints_of(choice), len(present), used)
    problem = question.problem()
    batches = count_nodes(problem, choice.size - len(present))
    if batches is None:
        raise question.refusal()
    return [*present, *nodes_of(choice, problem, batches, request, present)]


def shrink(choice: Choice, present: Sequence[Node]) -> list[Node]:
    """Return the nodes that stay when the cluster shrinks to the size of ``choice``."""
    everything = constraints_of(choice)
    constraints = [c for c in everything if c.kind in (Kind.SIZE, Kind.LEAST, Kind.RATIO)]
    last = dict.fromkeys(choice.services, 1) | {c.services[0]: 0 for c in constraints if c.kind is Kind.LEAST}

    def spare(given: Sequence[Constraint], size: int) -> Counter[str]:
        low, _ = quantities(given, choice.services, size, {})
        used = Counter(name for node in present for name in node.services)
        return Counter({name: max(count - max(low[name], last[name]), 0) for name, count in used.items()})

    def possible(given: Sequence[Constraint]) -> bool:
        size = next((c.number for c in given if c.kind is Kind.SIZE), len(present))
        return can_leave(present, len(present) - size, spare(given, size))

    leave = leaving(present, len(present) - choice.size, spare(constraints, choice.size))
    if leave is not None:
        return [node for node in present if node.number not in leave]
    sizes = range(choice.size + 1, len(present))
    above = next((n for n in sizes if can_leave(present, len(present) - n, spare(constraints, n))), None)
    raise explain(
        f"the cluster cannot shrink from {len(present)} to {choice.size} nodes; these constraints clash:",
        constraints,
        possible,
        sizes=() if above is None else (above,),
        reason="a node that stays keeps its services, and a service never loses its last node",
    )
