"""Walking a plan: which tasks may start now, given those that are complete.

A task is handed out once, when all it depends on is complete, and no node ever has two tasks handed out that are not
complete. The whole walk costs time and memory linear in the number of tasks (times log of a node's tasks for
"dataflow"), because a join counts its missing members instead of remembering pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

from coopr_core.errors import InvalidInput
from coopr_core.model.courses import NODE_ACTIONS
from coopr_core.planner.tasks import Task

if TYPE_CHECKING:
    from coopr_core.planner.plans import Plan

Schedule = Literal["stages", "dataflow"]


class Walker(ABC):
    """Hands out the tasks of a plan as they become ready."""

    def __init__(self, plan: Plan, done: Collection[Task]) -> None:
        self._plan = plan
        self._done = set(done)
        self._running: set[Task] = set()

    @abstractmethod
    def ready(self) -> list[Task]:
        """The tasks that became ready since the last call, most urgent first; each is handed out once."""

    def complete(self, task: Task) -> None:
        """``task``, which was handed out, has succeeded. Raises InvalidInput when it was not handed out."""
        if task not in self._running:
            raise InvalidInput(f"{task} is not running", hint="complete each task once, after ready() returned it")
        self._running.remove(task)
        self._done.add(task)
        self._free(task)

    def abandon(self, node: int) -> tuple[Task, ...]:
        """Give up on ``node``: its tasks that are not complete are never handed out and nothing waits for them.

        Returns them in plan order. Call it when the node's running task, if any, has ended.
        """
        given_up = tuple(task for task in self._plan.tasks_of(node) if task not in self._done)
        for task in given_up:
            self._running.discard(task)
        self._done.update(given_up)
        for task in given_up:
            self._free(task)
        return given_up

    @property
    def running(self) -> frozenset[Task]:
        """The tasks handed out and not complete."""
        return frozenset(self._running)

    @property
    def remaining(self) -> int:
        """How many tasks are not complete."""
        return len(self._plan) - len(self._done)

    @property
    def finished(self) -> bool:
        """Whether every task is complete."""
        return self.remaining == 0

    @abstractmethod
    def _free(self, task: Task) -> None:
        """Count what waits for ``task``."""


class StageWalker(Walker):
    """A task is ready when the stage before its own is complete."""

    def __init__(self, plan: Plan, done: Collection[Task]) -> None:
        super().__init__(plan, done)
        self._next = 0

    def ready(self) -> list[Task]:
        """The tasks of the next stage that has any left, once the stage before it is complete."""
        stages = self._plan.stages
        while not self._running and self._next < len(stages):
            tasks = [task for task in stages[self._next] if task not in self._done]
            self._next += 1
            if tasks:
                self._running.update(tasks)
                return tasks
        return []

    def _free(self, task: Task) -> None:
        """Nothing to count: the stage is complete when none of its tasks runs."""


class DataflowWalker(Walker):
    """A task is ready when all it depends on is complete and its node is free.

    Two more rules: of the tasks a node could run, the one with the longest way to the end goes first; and no service's
    task starts before every machine of the plan is confirmed, because its configuration may name any node's address.
    """

    def __init__(self, plan: Plan, done: Collection[Task]) -> None:
        super().__init__(plan, done)
        graph = plan.graph
        self._graph = graph
        self._heights = _heights(plan)
        self._blocked = [[len(step.after) + len(step.joins)] * len(graph.groups[step.group]) for step in graph.steps]
        self._join_missing = [
            sum(len(graph.groups[graph.steps[m].group]) for m in join.members) for join in graph.joins
        ]
        self._place = {node: place for nodes in graph.groups for place, node in enumerate(nodes)}
        self._queue: dict[int, list[tuple[int, int]]] = {node: [] for nodes in graph.groups for node in nodes}
        self._busy: set[int] = set()
        self._fresh: list[int] = []
        self._unconfirmed = sum(len(graph.groups[s.group]) for s in graph.steps if s.action == "CONFIRM")
        self._held: list[tuple[int, int]] = []
        for number, step in enumerate(graph.steps):
            if not step.after and not step.joins:
                for node in graph.groups[step.group]:
                    self._enable(node, number)
        for task in done:
            self._free(task)

    def ready(self) -> list[Task]:
        """The most urgent task of each node that has become free or has got work."""
        found = []
        fresh, self._fresh = self._fresh, []
        for node in dict.fromkeys(fresh):
            queue = self._queue[node]
            while queue and node not in self._busy:
                height, number = heappop(queue)
                step = self._graph.steps[number]
                task = Task(node, step.action, step.service)
                if task not in self._done:
                    self._busy.add(node)
                    found.append((height, number, task))
        found.sort()
        tasks = [task for _, _, task in found]
        self._running.update(tasks)
        return tasks

    def _free(self, task: Task) -> None:
        graph, node = self._graph, task.node
        number = self._plan.step(task)
        self._busy.discard(node)
        self._fresh.append(node)
        for follower in graph.successors[number]:
            self._unblock(node, follower)
        for join in graph.joined[number]:
            self._join_missing[join] -= 1
            if self._join_missing[join] == 0:
                for waiting in graph.waiting[join]:
                    for other in graph.groups[graph.steps[waiting].group]:
                        self._unblock(other, waiting)
        if task.action == "CONFIRM":
            self._unconfirmed -= 1
            if self._unconfirmed == 0:
                held, self._held = self._held, []
                for other, step in held:
                    self._enable(other, step)

    def _unblock(self, node: int, number: int) -> None:
        blocked = self._blocked[number]
        place = self._place[node]
        blocked[place] -= 1
        if blocked[place] == 0:
            self._enable(node, number)

    def _enable(self, node: int, number: int) -> None:
        step = self._graph.steps[number]
        if self._unconfirmed and step.action not in NODE_ACTIONS:
            self._held.append((node, number))
            return
        heappush(self._queue[node], (self._heights[number], number))
        self._fresh.append(node)


def walker(plan: Plan, schedule: Schedule, done: Iterable[Task]) -> Walker:
    """The walker of ``schedule``. Raises NotFound for a task in ``done`` that is not in the plan."""
    finished = frozenset(done)
    for task in finished:
        plan.step(task)
    if schedule == "stages":
        return StageWalker(plan, finished)
    if schedule == "dataflow":
        return DataflowWalker(plan, finished)
    raise InvalidInput(f"unknown schedule {schedule!r}", hint="stages or dataflow")


def _heights(plan: Plan) -> list[int]:
    """For each step, minus the number of tasks on the longest path that starts at it."""
    graph = plan.graph
    heights = [-1] * len(graph.steps)
    join_heights = [0] * len(graph.joins)
    for number in reversed(graph.order):
        step = graph.steps[number]
        below = [heights[follower] for follower in graph.successors[number]]
        below += [join_heights[join] for join in graph.joined[number]]
        heights[number] = min(below, default=0) - 1
        for join in step.joins:
            join_heights[join] = min(join_heights[join], heights[number])
    return heights
