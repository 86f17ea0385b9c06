"""A plan: the tasks of an operation, their order and what each waits for. A plain value; making it changes nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from coopr_core.errors import NotFound
from coopr_core.model.courses import Action
from coopr_core.planner.graph import TaskGraph
from coopr_core.planner.tasks import Task

if TYPE_CHECKING:
    from coopr_core.planner.estimate import Durations, Estimate
    from coopr_core.planner.walk import Schedule, Walker


class Changes(NamedTuple):
    """How many nodes a plan adds, changes and destroys; a replaced node counts as added and as destroyed."""

    add: int
    change: int
    destroy: int


Stages = tuple[tuple[Task, ...], ...]


_MACHINES = (Action.CREATE, Action.DELETE)


@dataclass(frozen=True, repr=False)
class Plan:
    """What ``operation`` does, as a folded task graph and, on demand, task by task.

    A plan without tasks is a success that has nothing to do (rule D9), and true like any other. Two plans are equal
    when their folded graphs are, which is cheap to tell for thousands of nodes.
    """

    operation: str
    graph: TaskGraph

    def __len__(self) -> int:
        return self.graph.size

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Plan {self.operation}: {len(self):,} tasks, {len(self.nodes):,} nodes>"

    @cached_property
    def stages(self) -> Stages:
        """The tasks stage by stage; a stage has at most one task of each node and needs only stages before it."""
        return tuple(tuple(self.graph.tasks(steps)) for level in self.graph.rows for steps in level)

    @cached_property
    def levels(self) -> Stages:
        """The stages before they are split: a task's level is the length of the longest path that leads to it."""
        return tuple(tuple(self.graph.tasks([step for steps in level for step in steps])) for level in self.graph.rows)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks in stage order, within a stage by node; task ids are numbered by it."""
        return tuple(task for stage in self.stages for task in stage)

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """The numbers of the nodes that have tasks, in order."""
        return tuple(sorted(node for group in self.graph.groups for node in group))

    @cached_property
    def changes(self) -> Changes:
        """How many nodes it adds, changes and destroys."""
        actions: list[set[str]] = [set() for _ in self.graph.groups]
        for step in self.graph.steps:
            actions[step.group].add(step.action)
        counted = [
            (
                len(nodes) * (Action.CREATE in done),
                len(nodes) * done.isdisjoint(_MACHINES),
                len(nodes) * (Action.DELETE in done),
            )
            for nodes, done in zip(self.graph.groups, actions, strict=True)
        ]
        return Changes(*(sum(column) for column in zip(*counted, strict=True))) if counted else Changes(0, 0, 0)

    def tasks_of(self, node: int) -> tuple[Task, ...]:
        """Return the tasks of one node, each after those it depends on."""
        group = self._group_of.get(node)
        steps = (self.graph.steps[n] for n in self.graph.step_order)
        return tuple(Task(node, step.action, step.service) for step in steps if step.group == group)

    def dependencies(self, task: Task) -> tuple[Task, ...]:
        """Return the tasks that ``task`` directly waits for, sorted. Raises NotFound when it is not in the plan."""
        step = self.graph.steps[self.step(task)]
        found = {Task(task.node, self.graph.steps[n].action, self.graph.steps[n].service) for n in step.after}
        for join in step.joins:
            found.update(self.graph.tasks(self.graph.joins[join].members))
        return tuple(sorted(found))

    def predecessors(self, task: Task, at_most: int) -> tuple[Task, ...]:
        """Return some of the tasks that ``task`` directly waits for, ``at_most`` so many: enough to draw the plan with.

        Those of its own node come first. Of the many that a join gathers each waiting task has its own share, so that
        together they show all, as far as the number allows. Costs no more for more nodes. Raises NotFound when the task
        is not in the plan.
        """
        graph = self.graph
        step = graph.steps[self.step(task)]
        own = [Task(task.node, graph.steps[n].action, graph.steps[n].service) for n in step.after][:at_most]
        group = graph.groups[step.group]
        place = bisect_left(group, task.node)
        found = dict.fromkeys(own)
        for number, join in enumerate(step.joins):
            wanted = -(-(at_most - len(found)) // (len(step.joins) - number))
            found.update(dict.fromkeys(self._share(join, place, len(group), wanted)))
        return tuple(found)

    def _share(self, join: int, place: int, waiting: int, wanted: int) -> list[Task]:
        """Return ``wanted`` members of a join, evenly spread over the share of one of the ``waiting`` tasks."""
        members = [
            (self.graph.steps[n], self.graph.groups[self.graph.steps[n].group]) for n in self.graph.joins[join].members
        ]
        ends = list(accumulate(len(nodes) for _, nodes in members))
        first, end = place * ends[-1] // waiting, -(-(place + 1) * ends[-1] // waiting)
        wanted = min(wanted, end - first)
        shares = []
        for number in range(wanted):
            index = first + number * (end - first) // wanted
            member = bisect_right(ends, index)
            step, nodes = members[member]
            shares.append(Task(nodes[index - ends[member]], step.action, step.service))  # from the end of its nodes
        return shares

    def step(self, task: Task) -> int:
        """Return the number of the task's step in the folded graph. Raises NotFound when it is not in the plan."""
        group = self._group_of.get(task.node, -1)
        try:
            return self._step_of[group, task.action, task.service]
        except KeyError:
            raise NotFound(
                f"the {self.operation} plan has no task {task}", hint="its tasks are listed in Plan.tasks"
            ) from None

    def walk(self, schedule: Schedule = "stages", done: Collection[Task] = frozenset()) -> Walker:
        """Return a walker that hands out the plan's tasks as they become ready; ``done`` have succeeded before."""
        from coopr_core.planner.walk import walker

        return walker(self, schedule, done)

    def critical_path(self, durations: Durations | None = None) -> tuple[Task, ...]:
        """Return the chain of dependent tasks that takes longest; without ``durations`` every task counts the same."""
        from coopr_core.planner.estimate import critical_path

        return critical_path(self, durations)

    def estimate(
        self, durations: Durations, *, concurrency: int | None = None, schedule: Schedule = "stages"
    ) -> Estimate:
        """How long the plan takes, given the seconds each (service, action) took in the past."""
        from coopr_core.planner.estimate import estimate

        return estimate(self, durations, concurrency=concurrency, schedule=schedule)

    def record(self) -> dict[str, Any]:
        """Return the folded graph as JSON values, which is all of the plan; ``from_json`` reads it back."""
        from coopr_core.planner.saved import graph_to_json

        return graph_to_json(self)

    def to_json(self) -> dict[str, Any]:
        """Return the whole plan as JSON values, with a version; ``from_json`` reads it back."""
        from coopr_core.planner.saved import plan_to_json

        return plan_to_json(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Plan:
        """Return the plan that ``to_json`` wrote. Raises InvalidInput when it is not one or of another version."""
        from coopr_core.planner.saved import read_plan

        return Plan(*read_plan(value))

    @cached_property
    def _group_of(self) -> dict[int, int]:
        return {node: number for number, nodes in enumerate(self.graph.groups) for node in nodes}

    @cached_property
    def _step_of(self) -> dict[tuple[int, str, str], int]:
        return {(step.group, step.action, step.service): n for n, step in enumerate(self.graph.steps)}
