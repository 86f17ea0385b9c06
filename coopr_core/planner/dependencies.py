"""Which service waits for which: the install and the runtime graph of the services on a cluster.

An edge A -> B says that A depends on B, by ``requires`` or ``uses``. A dependency on a name is one on all services that
provide it, and on the service of that name when none does, as in the original; names nobody on the cluster answers to
are ignored. The graphs hold services only, never tasks, so their cost does not depend on the number of nodes; both are
free of cycles and reduced to the edges that no longer path implies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import networkx as nx

from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput, Problem

PHASES = ("install", "runtime")


class DependencyCycle(InvalidInput):
    """Services that wait for each other in a circle: no order can satisfy them (rule D5)."""

    code = "dependency-cycle"


class ServiceDependencies:
    """The dependencies between the services given, as two directed acyclic graphs.

    Raises DependencyCycle, naming every service in the circle, when there is no order to follow.
    """

    def __init__(self, services: Mapping[str, Service]) -> None:
        cycles = dependency_cycles(services)
        if cycles:
            raise DependencyCycle(
                "services depend on each other in a cycle: "
                + "; ".join(f"{' -> '.join(cycle)} ({phase})" for phase, cycle in cycles),
                hint=f"remove one of these dependencies, for example {cycles[0][1][0]}'s on {cycles[0][1][1]}",
                problems=[
                    Problem(
                        f"dependency cycle {' -> '.join(cycle)}",
                        path=f"services.{cycle[0]}.dependencies.{phase}",
                    )
                    for phase, cycle in cycles
                ],
            )
        self._graphs = {phase: nx.transitive_reduction(_graph(services, phase)) for phase in PHASES}

    def needed_by(self, services: Iterable[str]) -> set[str]:
        """Return ``services`` and everything they depend on at run time, directly or not."""
        return _reach(self._graphs["runtime"].successors, services)

    def dependants_of(self, services: Iterable[str]) -> set[str]:
        """Return ``services`` and everything that depends on them at run time, directly or not."""
        return _reach(self._graphs["runtime"].predecessors, services)

    def nearest(self, phase: str, service: str, has_task: Callable[[str], bool], *, back: bool = False) -> list[str]:
        """Return the first services with a task on every way down from ``service``.

        ``back`` looks at dependants instead.

        A service without the task is passed through: its own dependencies count in its place.
        """
        graph = self._graphs[phase]
        step = graph.predecessors if back else graph.successors
        found: set[str] = set()
        seen: set[str] = set()
        open_ = list(step(service))
        while open_:
            name = open_.pop()
            if name in seen:
                continue
            seen.add(name)
            if has_task(name):
                found.add(name)
            else:
                open_.extend(step(name))
        return sorted(found)


def dependency_cycles(services: Mapping[str, Service]) -> list[tuple[str, tuple[str, ...]]]:
    """One cycle for each knot of services that wait for each other, as (phase, (a, b, ..., a)); sorted.

    A service that depends on itself, also through a name it provides, is a cycle of one.
    """
    found = []
    for phase in PHASES:
        graph = _graph(services, phase)
        for knot in nx.strongly_connected_components(graph):
            first = min(knot)
            if len(knot) > 1 or graph.has_edge(first, first):
                ways = (nx.shortest_path(graph.subgraph(knot), after, first) for after in graph[first] if after in knot)
                cycle = min(ways, key=lambda way: (len(way), way))
                found.append((phase, (first, *cycle)))
    return sorted(found)


def _graph(services: Mapping[str, Service], phase: str) -> nx.DiGraph[str]:
    """Return the dependencies of ``phase`` as they are written, provided names resolved."""
    providers: defaultdict[str, list[str]] = defaultdict(list)
    for name, service in services.items():
        for provided in dict.fromkeys(service.dependencies.provides):
            providers[provided].append(name)
    for name in services:
        providers.setdefault(name, [name])
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(services)
    for name, service in services.items():
        needs = service.dependencies.install if phase == "install" else service.dependencies.runtime
        for needed in (*needs.requires, *needs.uses):
            graph.add_edges_from((name, provider) for provider in providers.get(needed, ()))
    return graph


def _reach(step: Callable[[str], Iterable[str]], services: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    open_ = list(services)
    while open_:
        name = open_.pop()
        if name not in reached:
            reached.add(name)
            open_.extend(step(name))
    return reached
