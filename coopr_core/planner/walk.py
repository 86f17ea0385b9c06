"""Walking a plan: which tasks may start now, given those that are complete.

A task is handed out once, when all it depends on is complete, and no node ever has two tasks handed out that are not
complete. One walker serves both schedules, which differ in the graph it walks: for ``stages`` each stage is a join that
the next waits for; for ``dataflow`` the plan's own graph. The whole walk costs time and memory linear in the number of
tasks (times log of a node's tasks), because a join counts its missing members instead of remembering pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

from coopr_core.errors import InvalidInput
from coopr_core.model.courses import NODE_ACTIONS, Action
from coopr_core.planner.graph import Join, TaskGraph
from coopr_core.planner.tasks import Task

if TYPE_CHECKING:
    from coopr_core.planner.plans import Plan

Schedule = Literal["stages", "dataflow"]


class Walker:
    """Hands out the tasks of a plan as they become ready, in the order of ``graph``, which has the plan's steps.

    Of the tasks a node could run, the one with the lowest ``ranks`` goes first; so do they when they are handed out.
    """

    def __init__(self, plan: Plan, graph: TaskGraph, ranks: list[int], done: Collection[Task]) -> None:
        self._plan = plan
        self._groups = [graph.groups[step.group] for step in graph.steps]
        self._kinds = [(step.action, step.service) for step in graph.steps]
        self._ranks = ranks
        self._remaining = len(plan)
        self._running: dict[Task, int] = {}
        self._place = {node: place for nodes in graph.groups for place, node in enumerate(nodes)}
        self._done = [bytearray(len(nodes)) for nodes in self._groups]
        self._followers: list[list[int]] = [[] for _ in graph.steps]
        self._joined: list[list[int]] = [[] for _ in graph.steps]
        self._waiting: list[list[int]] = [[] for _ in graph.joins]
        for number, step in enumerate(graph.steps):
            for before in step.after:
                self._followers[before].append(number)
            for awaited in step.joins:
                self._waiting[awaited].append(number)
        for number, join in enumerate(graph.joins):
            for member in join.members:
                self._joined[member].append(number)
        self._missing_before = [
            [len(step.after)] * len(nodes) if step.after else []
            for step, nodes in zip(graph.steps, self._groups, strict=True)
        ]
        self._missing_joins = [len(step.joins) for step in graph.steps]
        self._missing_members = [sum(len(self._groups[member]) for member in join.members) for join in graph.joins]
        self._queues: dict[int, list[tuple[int, int]]] = {node: [] for node in self._place}
        self._busy: set[int] = set()
        self._fresh: list[int] = []
        self._opened: list[int] = []
        for task in done:
            number = plan.step(task)
            self._done[number][self._place[task.node]] = 1
            self._remaining -= 1
        for number, step in enumerate(graph.steps):
            if not step.after and not step.joins:
                self._open(number)
        for task in done:
            self._free(task.node, plan.step(task))

    def ready(self) -> list[Task]:
        """Return the tasks that became ready since the last call, most urgent first; each is handed out once."""
        found = self._whole_steps()
        busy, queues = self._busy, self._queues
        for node in self._fresh:
            if node not in busy and (queue := queues[node]):
                busy.add(node)
                rank, number = heappop(queue)
                found.append((rank, node, number))
        self._fresh.clear()
        found.sort()
        kinds = self._kinds
        tasks = [Task(node, *kinds[number]) for _, node, number in found]
        self._running.update(zip(tasks, (number for _, _, number in found), strict=True))
        return tasks

    def complete(self, task: Task) -> None:
        """Take note that ``task`` has succeeded. Raises InvalidInput when it was not handed out."""
        number = self._running.pop(task, -1)
        if number < 0:
            raise InvalidInput(f"{task} is not running", hint="complete each task once, after ready() returned it")
        node = task.node
        self._done[number][self._place[node]] = 1
        self._remaining -= 1
        self._free(node, number)

    def abandon(self, node: int) -> tuple[Task, ...]:
        """Give up on ``node``: its tasks that are not complete are never handed out and nothing waits for them.

        Return them in plan order. Call it when the node's running task, if any, has ended.
        """
        place = self._place.get(node)
        if place is None:
            return ()
        steps = [(task, self._plan.step(task)) for task in self._plan.tasks_of(node)]
        given_up = [(task, number) for task, number in steps if not self._done[number][place]]
        for task, number in given_up:
            self._running.pop(task, None)
            self._done[number][place] = 1
        self._remaining -= len(given_up)
        for _, number in given_up:
            self._free(node, number)
        self._queues[node].clear()
        return tuple(task for task, _ in given_up)

    @property
    def running(self) -> frozenset[Task]:
        """The tasks handed out and not complete."""
        return frozenset(self._running)

    @property
    def remaining(self) -> int:
        """How many tasks are not complete."""
        return self._remaining

    @property
    def finished(self) -> bool:
        """Whether every task is complete."""
        return self._remaining == 0

    def _free(self, node: int, number: int) -> None:
        """Count what waits for a step of a node that is complete."""
        self._busy.discard(node)
        if self._queues[node]:
            self._fresh.append(node)
        for follower in self._followers[number]:
            before, place = self._missing_before[follower], self._place[node]
            before[place] -= 1
            if not before[place] and not self._missing_joins[follower]:
                self._enable(node, follower)
        for join in self._joined[number]:
            self._missing_members[join] -= 1
            if not self._missing_members[join]:
                for waiting in self._waiting[join]:
                    self._missing_joins[waiting] -= 1
                    if not self._missing_joins[waiting]:
                        self._open(waiting)

    def _open(self, number: int) -> None:
        """Enable a step, whose joins are complete, on each node that waits for nothing else."""
        before = self._missing_before[number]
        if not before:
            self._opened.append(number)
            return
        for place, node in enumerate(self._groups[number]):
            if not before[place]:
                self._enable(node, number)

    def _whole_steps(self) -> list[tuple[int, int, int]]:
        """Take the steps that all their nodes may start: rank, node and step where a node is free for it."""
        found = []
        busy, queues = self._busy, self._queues
        self._opened.sort(key=self._ranks.__getitem__)
        for number in self._opened:
            rank = self._ranks[number]
            for node, over in zip(self._groups[number], self._done[number], strict=True):
                if over:
                    continue
                if node in busy or queues[node]:
                    self._enable(node, number)
                else:
                    busy.add(node)
                    found.append((rank, node, number))
        self._opened.clear()
        return found

    def _enable(self, node: int, number: int) -> None:
        if not self._done[number][self._place[node]]:
            heappush(self._queues[node], (self._ranks[number], number))
            self._fresh.append(node)


def walker(plan: Plan, schedule: Schedule, done: Iterable[Task]) -> Walker:
    """Return the walker of ``schedule``. Raises NotFound for a task in ``done`` that is not in the plan."""
    finished = frozenset(done)
    if schedule == "stages":
        return Walker(plan, _staged(plan.graph), [0] * len(plan.graph.steps), finished)
    if schedule == "dataflow":
        graph = _machines_first(plan.graph)
        heights = _heights(graph)
        order = sorted(range(len(heights)), key=lambda number: (-heights[number], number))
        ranks = [0] * len(order)
        for rank, number in enumerate(order):
            ranks[number] = rank
        return Walker(plan, graph, ranks, finished)
    raise InvalidInput(f"unknown schedule {schedule!r}", hint="stages or dataflow")


def _staged(graph: TaskGraph) -> TaskGraph:
    """Return the same steps, where each stage waits for the whole stage before it and for nothing else."""
    stages = [steps for level in graph.rows for steps in level]
    steps = list(graph.steps)
    for place, stage in enumerate(stages):
        for number in stage:
            steps[number] = replace(steps[number], after=(), joins=(place - 1,) if place else ())
    return TaskGraph(graph.groups, tuple(steps), tuple(Join(f"stage {n}", s) for n, s in enumerate(stages[:-1], 1)))


def _machines_first(graph: TaskGraph) -> TaskGraph:
    """Return the same graph, where no service's task starts before every machine is confirmed.

    A service's configuration may name any node's address.
    """
    confirmed = tuple(number for number, step in enumerate(graph.steps) if step.action == Action.CONFIRM)
    if not confirmed:
        return graph
    joins = (*graph.joins, Join("every machine is confirmed", confirmed))
    steps = tuple(
        step if step.action in NODE_ACTIONS else replace(step, joins=(*step.joins, len(graph.joins)))
        for step in graph.steps
    )
    return TaskGraph(graph.groups, steps, joins)


def _heights(graph: TaskGraph) -> list[int]:
    """Return the number of tasks on the longest path that starts at each step; joins count nothing."""
    count = len(graph.steps)
    heights = [0] * len(graph.dag)
    for vertex in reversed(graph.order):
        heights[vertex] = max((heights[v] for v in graph.dag.succ[vertex]), default=0) + (vertex < count)
    return heights[:count]
