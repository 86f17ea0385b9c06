"""Services that wait for themselves: dependency cycles, each named (rule D5).

Install and runtime dependencies are two graphs; ``requires`` and ``uses`` both order, and a dependency on a name means
every service that provides it. A cycle among services that conflict with each other can never be on one cluster and is
none. Cost: linear in the dependencies, then a breadth-first search per service that is on a cycle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import pairwise, permutations

from coopr_core.catalog.entities import Service
from coopr_core.catalog.places import Finding

Graph = Mapping[str, Mapping[str, str]]
"""Service -> the services it waits for -> the name it gives them."""


def dependency_cycles(services: Mapping[str, Service]) -> list[Finding]:
    """Return a finding for every knot of services that wait for each other, with a shortest way around."""
    found = []
    providers = names_provided(services)
    for phase in ("install", "runtime"):
        graph = _graph(services, providers, phase)
        for knot in _knots(graph):
            cycles = sorted((_shortest_cycle(graph, name, knot) for name in sorted(knot)), key=lambda c: (len(c), c))
            cycle = next((cycle for cycle in cycles if _can_meet(cycle, services)), None)
            if cycle is not None:
                found.append(_finding(cycle, graph, services, phase))
    return found


def names_provided(services: Mapping[str, Service]) -> dict[str, list[str]]:
    """Name -> the services that are called so or provide it."""
    providers = {name: [name] for name in services}
    for name, service in services.items():
        for provided in service.dependencies.provides:
            if name not in providers.setdefault(provided, []):
                providers[provided].append(name)
    return providers


def _graph(
    services: Mapping[str, Service], providers: Mapping[str, list[str]], phase: str
) -> dict[str, dict[str, str]]:
    graph: dict[str, dict[str, str]] = {}
    for name, service in services.items():
        needs = getattr(service.dependencies, phase)
        graph[name] = {
            other: needed for needed in (*needs.uses, *needs.requires) for other in providers.get(needed, ())
        }
    return graph


def _knots(graph: Graph) -> Iterator[set[str]]:
    """Yield the strongly connected components that hold a cycle (Tarjan 1972, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, others = work[-1]
            other = next(others, None)
            if other is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    knot = {name}
                    while (member := stack.pop()) != name:
                        knot.add(member)
                    on_stack -= knot
                    if len(knot) > 1 or name in graph[name]:
                        yield knot
            elif other not in index:
                index[other] = low[other] = len(index)
                stack.append(other)
                on_stack.add(other)
                work.append((other, iter(graph[other])))
            elif other in on_stack:
                low[name] = min(low[name], index[other])


def _shortest_cycle(graph: Graph, start: str, knot: set[str]) -> tuple[str, ...]:
    """Return the shortest way from a service of a knot back to itself."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for other in sorted(knot & graph[name].keys()):
            if other == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return tuple(reversed(way))
            if other not in came_from:
                came_from[other] = name
                queue.append(other)
    raise AssertionError(f"{start} is not on a cycle")


def _can_meet(cycle: tuple[str, ...], services: Mapping[str, Service]) -> bool:
    """Whether no two services of the cycle conflict, by name or by a name they provide (rule D18)."""
    return not any(
        {other, *services[other].dependencies.provides} & set(services[name].dependencies.conflicts)
        for name, other in permutations(cycle, 2)
    )


def _finding(cycle: tuple[str, ...], graph: Graph, services: Mapping[str, Service], phase: str) -> Finding:
    first = cycle.index(min(cycle))
    ring = [*cycle[first:], *cycle[: first + 1]] if first else [*cycle, cycle[0]]
    steps = ring[0]
    for name, other in pairwise(ring):
        needed = graph[name][other]
        steps += f" -> {other}" + (f" (which provides {needed})" if needed != other else "")
    service = services[ring[0]]
    needed = graph[ring[0]][ring[1]]
    relation = "requires" if needed in getattr(service.dependencies, phase).requires else "uses"
    return Finding(service, ("dependencies", phase, relation, needed), f"{phase} dependencies go round: {steps}")
