"""The task graph, folded: nodes that go through the same steps are one group, and a step is written down once for it.

A task depends on tasks of its own node (``Step.after``) and on joins (``Step.joins``): "every node has started B" is
one join with B's start steps as members, not one edge for every pair of nodes. Steps and joins are the vertices of a
networkx graph (``TaskGraph.dag``), whose size depends on the number of different node layouts; only what walks or lists
the tasks grows with the number of nodes, linearly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from coopr_core.model.courses import NODE_ACTIONS, SERVICE_ACTIONS
from coopr_core.planner.tasks import Task, task_type

if TYPE_CHECKING:
    import networkx as nx

_RANK = {action: rank for rank, action in enumerate((*NODE_ACTIONS, *SERVICE_ACTIONS))}


@dataclass(frozen=True, slots=True)
class Step:
    """The task every node of ``group`` has for ``action`` and ``service``.

    ``after`` are the steps of the same node it follows directly, ``joins`` the joins that must be complete before it.
    """

    group: int
    action: str
    service: str
    after: tuple[int, ...] = ()
    joins: tuple[int, ...] = ()

    @property
    def type(self) -> str:
        """Action and service as text."""
        return task_type(self.action, self.service)


@dataclass(frozen=True, slots=True)
class Join:
    """Complete when the tasks of all ``members``, which are steps, are complete on all their nodes."""

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class TaskGraph:
    """Groups of nodes, their steps, and the joins between them; without cycles."""

    groups: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    joins: tuple[Join, ...]

    @cached_property
    def size(self) -> int:
        """The number of tasks."""
        return sum(len(self.groups[step.group]) for step in self.steps)

    @cached_property
    def dag(self) -> nx.DiGraph[int]:
        """Steps and joins as one directed graph: a step is its number, a join its own behind those of all steps."""
        import networkx as nx

        dag: nx.DiGraph[int] = nx.DiGraph()
        dag.add_nodes_from(range(len(self.steps) + len(self.joins)))
        for number, step in enumerate(self.steps):
            dag.add_edges_from((before, number) for before in step.after)
            dag.add_edges_from((len(self.steps) + join, number) for join in step.joins)
        for number, join in enumerate(self.joins, len(self.steps)):
            dag.add_edges_from((member, number) for member in join.members)
        return dag

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The vertices of ``dag`` so that each comes after all it depends on.

        Raises ValueError when the graph has a cycle, which no plan that ``plan`` made has.
        """
        import networkx as nx

        try:
            return tuple(nx.topological_sort(self.dag))
        except nx.NetworkXUnfeasible:
            stuck = min(vertex for edge in nx.find_cycle(self.dag) for vertex in edge)
            raise ValueError(f"the task graph has a cycle through {self.steps[stuck].type}") from None

    @cached_property
    def step_order(self) -> tuple[int, ...]:
        """The steps alone in that order."""
        return tuple(vertex for vertex in self.order if vertex < len(self.steps))

    def heaviest_path(self, weights: Sequence[float]) -> list[int]:
        """Return the steps of a path whose ``weights``, one for each step, are the most, first to last."""
        import networkx as nx

        count, end = len(self.steps), len(self.dag)
        weighted: nx.DiGraph[int] = nx.DiGraph()
        weighted.add_nodes_from(self.dag)
        weighted.add_edges_from((a, b, {"weight": weights[a] if a < count else 0}) for a, b in self.dag.edges)
        weighted.add_edges_from((step, end, {"weight": weight}) for step, weight in enumerate(weights))
        path = nx.dag_longest_path(weighted, topo_order=(*self.order, end))
        return [vertex for vertex in path if vertex < count]

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """For each step, the number of tasks on the longest path that leads to it; joins are none."""
        count = len(self.steps)
        levels = [0] * len(self.dag)
        for vertex in self.order:
            levels[vertex] = max((levels[v] + (v < count) for v in self.dag.pred[vertex]), default=0)
        return tuple(levels[:count])

    @cached_property
    def rows(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Level by level, the stages the level is split into; a stage holds at most one step of each group."""
        by_level: defaultdict[int, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, step in enumerate(self.steps):
            by_level[self.levels[number]][step.group].append(number)
        rows = []
        for level in sorted(by_level):
            columns = [sorted(steps, key=self._stage_order) for _, steps in sorted(by_level[level].items())]
            depth = max(map(len, columns))
            rows.append(tuple(tuple(c[slot] for c in columns if slot < len(c)) for slot in range(depth)))
        return tuple(rows)

    def tasks(self, steps: Sequence[int]) -> Iterator[Task]:
        """Yield the tasks of ``steps`` in node order."""
        if len(steps) == 1:
            step = self.steps[steps[0]]
            return (Task(node, step.action, step.service) for node in self.groups[step.group])
        pairs = [(node, number) for number in steps for node in self.groups[self.steps[number].group]]
        pairs.sort()
        return (Task(node, self.steps[number].action, self.steps[number].service) for node, number in pairs)

    def _stage_order(self, number: int) -> tuple[int, str]:
        step = self.steps[number]
        return _RANK.get(step.action, len(_RANK)), step.service
