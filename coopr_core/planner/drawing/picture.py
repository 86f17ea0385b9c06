"""What there is to draw: boxes of nodes that do the same, a cell for each step, arrows that no other arrows imply.

The picture's size depends on the number of different node layouts, not on the number of nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from coopr_core.planner.estimate import Durations, critical_steps

if TYPE_CHECKING:
    from coopr_core.planner.plans import Plan


@dataclass(frozen=True, slots=True)
class Cell:
    """A step: the task each node of the box has."""

    id: str
    action: str
    service: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Box:
    """Nodes that go through the same steps, and the steps."""

    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A point where several steps come together before several others may start."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """``head`` waits for ``tail``: on the same node, or, when ``everywhere``, on every node of the tail's box."""

    tail: str
    head: str
    everywhere: bool
    critical: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A plan ready to be drawn."""

    title: str
    boxes: tuple[Box, ...]
    meetings: tuple[Meeting, ...]
    arrows: tuple[Arrow, ...]


def picture(plan: Plan, durations: Durations | None = None, hosts: Mapping[int, str] | None = None) -> Picture:
    """Return the picture of ``plan``; its critical path is the one that ``durations`` give, or the one with most tasks.

    ``hosts`` are the host names of nodes by number, where they are to be shown.
    """
    graph = plan.graph
    path = [f"s{step}" for step in critical_steps(plan, durations)]
    critical = set(path)
    boxes = []
    for group, nodes in enumerate(graph.groups):
        cells = tuple(
            Cell(f"s{number}", step.action, step.service, f"s{number}" in critical)
            for number, step in enumerate(graph.steps)
            if step.group == group
        )
        boxes.append(Box(_nodes_text(nodes) + _hosts_text(nodes, hosts or {}), cells))
    edges = _edges(plan)
    meetings = _contract(edges)
    names = {f"j{number}": join.name for number, join in enumerate(graph.joins)}
    marked = _critical_edges(path, edges, meetings)
    return Picture(
        title=_title(plan),
        boxes=tuple(boxes),
        meetings=tuple(Meeting(meeting, names[meeting]) for meeting in sorted(meetings)),
        arrows=tuple(Arrow(a, b, everywhere, (a, b) in marked) for (a, b), everywhere in edges.items()),
    )


def _edges(plan: Plan) -> dict[tuple[str, str], bool]:
    """Return the arrows between steps and joins that no longer way implies, and whether they speak of every node.

    A longer way always passes a join when the arrow does: arrows on one node only link the machine and one service.
    """
    import networkx as nx

    graph = plan.graph
    drawn: nx.DiGraph[str] = nx.DiGraph()
    edges: dict[tuple[str, str], bool] = {}
    for number, step in enumerate(graph.steps):
        edges.update({(f"s{before}", f"s{number}"): False for before in step.after})
        edges.update({(f"j{join}", f"s{number}"): True for join in step.joins})
    for number, join in enumerate(graph.joins):
        edges.update({(f"s{member}", f"j{number}"): True for member in join.members})
    drawn.add_edges_from(edges)
    kept = nx.transitive_reduction(drawn).edges
    return {edge: everywhere for edge, everywhere in edges.items() if edge in kept}


def _contract(edges: dict[tuple[str, str], bool]) -> set[str]:
    """Replace joins with one way in or one way out by direct arrows, in place; the joins that are left."""
    meetings: set[str] = set()
    for join in sorted({name for edge in edges for name in edge if name.startswith("j")}):
        tails = [a for a, b in edges if b == join]
        heads = [b for a, b in edges if a == join]
        if len(tails) > 1 and len(heads) > 1:
            meetings.add(join)
            continue
        for edge in [edge for edge in edges if join in edge]:
            del edges[edge]
        edges.update({(tail, head): True for tail in tails for head in heads})
    return meetings


def _critical_edges(
    path: Sequence[str], edges: dict[tuple[str, str], bool], meetings: set[str]
) -> set[tuple[str, str]]:
    """Return the arrows along the critical path; a step of it that no arrow shows, as others imply it, gets one."""
    marked: set[tuple[str, str]] = set()
    for tail, head in pairwise(path):
        way = next((m for m in sorted(meetings) if (tail, m) in edges and (m, head) in edges), None)
        if way is not None and (tail, head) not in edges:
            marked.update({(tail, way), (way, head)})
        else:
            edges.setdefault((tail, head), True)
            marked.add((tail, head))
    return marked


def _title(plan: Plan) -> str:
    counts = ((len(plan), "task"), (len(plan.nodes), "node"), (len(plan.stages), "stage"))
    return f"{plan.operation}: " + ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _nodes_text(nodes: Sequence[int]) -> str:
    """Return ``node 1000``, or ``99 nodes: 1001-1099``; at most four ranges are written out."""
    if len(nodes) == 1:
        return f"node {nodes[0]}"
    ranges: list[list[int]] = []
    for number in nodes:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return f"{len(nodes):,} nodes: {', '.join(texts[:4])}{', ...' if len(texts) > 4 else ''}"


def _hosts_text(nodes: Sequence[int], hosts: Mapping[int, str]) -> str:
    """Return `` (shop3-1000)``: the short host names of the nodes, at most four written out; "" when they have none."""
    names = [hosts[number].partition(".")[0] for number in nodes if hosts.get(number)]
    if not names:
        return ""
    return f" ({', '.join(names) if len(names) <= 4 else f'{names[0]} ... {names[-1]}'})"
