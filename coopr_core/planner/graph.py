"""The task graph, folded: nodes that go through the same steps are one group, and a step is written down once for it.

A task depends on tasks of its own node (``Step.after``) and on joins (``Step.joins``): "every node has started B" is
one join with B's start steps as members, not one edge for every pair of nodes. The size of the folded graph depends on
the number of different node layouts; only what walks or lists the tasks grows with the number of nodes, linearly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from coopr_core.model.courses import NODE_ACTIONS, SERVICE_ACTIONS
from coopr_core.planner.tasks import Task, task_type

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
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the steps of the same node that follow it directly."""
        found: list[list[int]] = [[] for _ in self.steps]
        for number, step in enumerate(self.steps):
            for before in step.after:
                found[before].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def joined(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the joins it is a member of."""
        found: list[list[int]] = [[] for _ in self.steps]
        for number, join in enumerate(self.joins):
            for member in join.members:
                found[member].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def waiting(self) -> tuple[tuple[int, ...], ...]:
        """For each join, the steps that wait for it."""
        found: list[list[int]] = [[] for _ in self.joins]
        for number, step in enumerate(self.steps):
            for join in step.joins:
                found[join].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The steps so that each comes after all it depends on (Kahn's algorithm over steps and joins).

        Raises ValueError when the graph has a cycle, which no plan that ``plan`` made has.
        """
        missing = [len(step.after) + len(step.joins) for step in self.steps]
        missing_members = [len(join.members) for join in self.joins]
        ready = [number for number, count in enumerate(missing) if count == 0]
        for number in ready:
            freed = list(self.successors[number])
            for join in self.joined[number]:
                missing_members[join] -= 1
                if missing_members[join] == 0:
                    freed.extend(self.waiting[join])
            for step in freed:
                missing[step] -= 1
                if missing[step] == 0:
                    ready.append(step)
        if len(ready) < len(self.steps):
            stuck = next(step for number, step in enumerate(self.steps) if missing[number])
            raise ValueError(f"the task graph has a cycle through {stuck.type}")
        return tuple(ready)

    def longest(self, weights: Sequence[float]) -> list[float]:
        """For each step, the weight of the heaviest path that leads to it, its own weight not counted."""
        lengths = [0.0] * len(self.steps)
        reached = [0.0] * len(self.joins)
        for number in self.order:
            step = self.steps[number]
            before = (lengths[other] + weights[other] for other in step.after)
            lengths[number] = max((*before, *(reached[join] for join in step.joins)), default=0.0)
            for join in self.joined[number]:
                reached[join] = max(reached[join], lengths[number] + weights[number])
        return lengths

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """For each step, the number of tasks on the longest path that leads to it."""
        return tuple(int(length) for length in self.longest([1.0] * len(self.steps)))

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
        """The tasks of ``steps`` in node order."""
        if len(steps) == 1:
            step = self.steps[steps[0]]
            return (Task(node, step.action, step.service) for node in self.groups[step.group])
        pairs = [(node, number) for number in steps for node in self.groups[self.steps[number].group]]
        pairs.sort()
        return (Task(node, self.steps[number].action, self.steps[number].service) for node, number in pairs)

    def _stage_order(self, number: int) -> tuple[int, str]:
        step = self.steps[number]
        return _RANK.get(step.action, len(_RANK)), step.service
