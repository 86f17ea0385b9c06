"""A running cluster with so many nodes of a service: new nodes where more are wanted, the newest leave where fewer are.

Nodes that stay never change, so more of a service means as few new nodes as can carry it, each with what else the
template asks of them, and fewer means that nodes with the service leave, never so that another service falls below its
minimum or loses its last node. Cost: as for a new cluster of the added nodes, once for each size tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from coopr_core.catalog.entities import ServiceConstraint
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.request import ClusterRequest
from coopr_core.solver.assembly import layout_of, nodes_of
from coopr_core.solver.change.departures import leaving
from coopr_core.solver.choice import Choice, Entities, choose
from coopr_core.solver.constraints import Constraint, Kind, constraints_of
from coopr_core.solver.explanation import explain
from coopr_core.solver.question import Question
from coopr_core.solver.search.batches import count_nodes
from coopr_core.solver.search.problem import quantities
from coopr_core.solver.unsatisfiable import Unsatisfiable
from coopr_core.suggestions import among


def count_services(
    catalog: Entities, request: ClusterRequest, current: ClusterLayout, counts: Mapping[str, int]
) -> ClusterLayout:
    """Return the layout of ``current`` with each service of ``counts`` on exactly so many nodes.

    ``request.size`` is ignored.

    Raises NotFound for a service that is not on the cluster, InvalidInput for more of one and fewer of another at
    once, Unsatisfiable when no such layout exists.
    """
    nodes = current.nodes
    used = Counter(name for node in nodes for name in node.services)
    for name, count in counts.items():
        if name not in used:
            raise NotFound(
                f"service {name} is not on the cluster",
                hint=among(name, used),
            )
        if count < 0:
            raise InvalidInput(f"{name}={count}: no service can be on fewer than 0 nodes")
    more = {name: count - used[name] for name, count in counts.items() if count > used[name]}
    fewer = {name: used[name] - count for name, count in counts.items() if count < used[name]}
    if more and fewer:
        raise InvalidInput(
            f"more of {', '.join(sorted(more))} and fewer of {', '.join(sorted(fewer))} at once is not one change",
            hint="scale out first, then in",
        )
    scaling = _Scaling(catalog, request, nodes, used, counts)
    if more:
        return scaling.grown(more)
    if fewer:
        return scaling.shrunk(fewer)
    return scaling.layout(len(nodes), nodes)


class _Scaling:
    def __init__(
        self,
        catalog: Entities,
        request: ClusterRequest,
        nodes: Sequence[Node],
        used: Counter[str],
        counts: Mapping[str, int],
    ) -> None:
        self._catalog = catalog
        self._request = request
        self._nodes = nodes
        self._used = used
        self._counts = counts

    def grown(self, more: Mapping[str, int]) -> ClusterLayout:
        """With as few new nodes as can be."""
        first = None
        for size in self._sizes(more, 1):
            choice = self._choice(size)
            question = Question(choice, self._constraints(choice), len(self._nodes), self._used)
            first = first or question
            if question.works():
                problem = question.problem()
                batches = count_nodes(problem, size - len(self._nodes))
                assert batches is not None
                new = nodes_of(choice, problem, batches, self._request, self._nodes)
                return layout_of(choice, self._request, [*self._nodes, *new])
        assert first is not None
        raise first.refusal()

    def shrunk(self, fewer: Mapping[str, int]) -> ClusterLayout:
        """With as few nodes leaving as can be, the newest of those that have the services."""
        first = None
        for size in self._sizes(fewer, -1):
            choice = self._choice(size)
            constraints = [c for c in constraints_of(choice) if c.kind in (Kind.LEAST, Kind.RATIO)]
            leave = self._leave(fewer, size, constraints)
            if leave is not None:
                return self.layout(size, [node for node in self._nodes if node.number not in leave])
            first = first or (size, constraints)
        assert first is not None
        size, constraints = first
        wanted = ", ".join(f"{self._counts[name]} {name} (now {self._used[name]})" for name in sorted(fewer))
        if self._leave(fewer, size, ()) is None:
            raise Unsatisfiable(
                f"the cluster cannot have {wanted}: a node that stays keeps its services, "
                "and no service loses its last node"
            )
        raise explain(
            f"the cluster cannot have {wanted}; these constraints clash:",
            constraints,
            lambda given: self._leave(fewer, size, given) is not None,
            reason="a node that stays keeps its services, and a service never loses its last node",
        )

    def layout(self, size: int, nodes: Sequence[Node]) -> ClusterLayout:
        """Return the layout of these nodes, ``size`` of them."""
        return layout_of(self._choice(size), self._request, nodes)

    def _sizes(self, change: Mapping[str, int], sign: int) -> Iterator[int]:
        """Yield the sizes the change can lead to, the nearest first: all on the same nodes, or each on its own."""
        for nodes in range(max(change.values()), sum(change.values()) + 1):
            if len(self._nodes) + sign * nodes > 0:
                yield len(self._nodes) + sign * nodes
            elif nodes == max(change.values()):
                raise InvalidInput("no node would be left", hint="delete the cluster instead: coopr delete")

    def _choice(self, size: int) -> Choice:
        present = sorted(self._used)
        request = self._request.model_copy(update={"size": size})
        choice = choose(self._catalog, request, present, len(self._nodes))
        constraints = choice.template.constraints
        bound = {**dict.fromkeys(self._counts, ServiceConstraint()), **constraints.services}
        template = choice.template.model_copy(
            update={"constraints": constraints.model_copy(update={"services": bound})}
        )
        return replace(choice, template=template, services={name: choice.services[name] for name in present})

    def _constraints(self, choice: Choice) -> tuple[Constraint, ...]:
        asked = [
            Constraint(kind, "request", name, count, (name,), number=count)
            for name, count in self._counts.items()
            for kind in (Kind.LEAST, Kind.MOST)
        ]
        return (*constraints_of(choice), *asked)

    def _leave(self, fewer: Mapping[str, int], size: int, given: Sequence[Constraint]) -> set[int] | None:
        low, _ = quantities(given, self._used, size, {})
        placed = {c.services[0] for c in given if c.kind is Kind.LEAST}
        spare: Counter[str] = Counter()
        for name, count in self._used.items():
            least = max(low[name], 0 if name in placed else 1)
            spare[name] = max(count - least, 0)
            if name in self._counts:
                wanted = fewer.get(name, 0)
                if wanted > spare[name]:
                    return None
                spare[name] = wanted
        candidates = [node for node in self._nodes if not fewer.keys().isdisjoint(node.services)]
        leave = leaving(candidates, len(self._nodes) - size, spare)
        if leave is None:
            return None
        gone = Counter(name for node in candidates if node.number in leave for name in node.services)
        return leave if all(gone[name] == count for name, count in fewer.items()) else None
