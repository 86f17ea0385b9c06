"""From programs to the task graph: chains inside a node, joins between services, gates between roles.

Rules (A depends on B): INSTALL A follows INSTALL B; INITIALIZE A and START A follow B being up, which is the last of
INITIALIZE and START that B has in the plan (rule D6); STOP B follows STOP A, and REMOVE B REMOVE A; each on every node
of the plan that has the other. A service without the task is passed through. The cost grows with the number of
different programs, not of nodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from coopr_core.model.courses import Action
from coopr_core.planner.dependencies import ServiceDependencies
from coopr_core.planner.graph import Join, Step, TaskGraph
from coopr_core.planner.programs import PREPARING, Program, Role
from coopr_core.planner.tasks import task_type

_Key = tuple[bool, str, str]
"""Whether the task is part of leaving, its action and its service: what a join gathers."""


def fold(nodes: Mapping[Program, Sequence[int]], dependencies: ServiceDependencies | None) -> TaskGraph:
    """Return the task graph of nodes that go through the programs given.

    ``dependencies`` None when no service has a task.
    """
    folding = _Folding(dependencies)
    for group, program in enumerate(nodes):
        folding.add(group, program)
    folding.connect()
    folding.put_up_gates()
    return TaskGraph(
        groups=tuple(tuple(sorted(numbers)) for numbers in nodes.values()),
        steps=tuple(folding.steps),
        joins=tuple(folding.joins),
    )


class _Folding:
    def __init__(self, dependencies: ServiceDependencies | None) -> None:
        self.steps: list[Step] = []
        self.joins: list[Join] = []
        self._dependencies = dependencies
        self._members: defaultdict[_Key, list[int]] = defaultdict(list)
        self._first: defaultdict[Role, list[int]] = defaultdict(list)
        self._last: defaultdict[Role, list[int]] = defaultdict(list)
        self._prepared: list[int] = []
        self._restarting: list[int] = []
        self._reloading: list[int] = []
        self._join_of: dict[_Key, int] = {}

    def add(self, group: int, program: Program) -> None:
        """Write down the steps of a group, each after those before it on the same node."""
        machine = self._line(group, program.before, "", ())
        ends = []
        for chain in program.chains:
            line = self._line(group, chain.actions, chain.service, machine[-1:])
            for step, action in zip(line, chain.actions, strict=True):
                self._members[chain.role is Role.LEAVING, action, chain.service].append(step)
            self._first[chain.role].append(line[0])
            self._last[chain.role].append(line[-1])
            if chain.role is Role.ADAPTING:
                reloads = {Action.START, Action.STOP}.isdisjoint(chain.actions)
                (self._reloading if reloads else self._restarting).append(line[0])
            if chain.role is Role.MAIN:
                prepared = [s for s in line if self.steps[s].action in PREPARING]
                self._prepared.extend(prepared[-1:] or machine[-1:])
            ends.append(line[-1])
        rest = self._line(group, program.after, "", tuple(ends) or machine[-1:])
        if not program.chains:
            if machine:
                self._prepared.append(machine[-1])
                self._last[Role.MAIN].append(machine[-1])
            if rest:
                self._first[Role.LEAVING].append(rest[0])

    def connect(self) -> None:
        """Let each service's tasks wait for the joins its dependencies ask for."""
        for (leaving, action, service), members in list(self._members.items()):
            joins = tuple(sorted(self._join(key) for key in self._awaited(leaving, action, service)))
            if joins:
                for step in members:
                    self.steps[step] = replace(self.steps[step], joins=joins)

    def put_up_gates(self) -> None:
        """Let adapting services wait for what they adapt to, and leaving ones until nobody counts on them.

        A service that restarts to adapt waits until new nodes are ready to start theirs, one that only takes a new
        configuration until they have started. No task that these wait for ever waits for them, so there is no cycle.
        """
        if self._restarting:
            self._gate("new nodes are prepared", self._prepared, self._restarting)
        if self._reloading:
            self._gate("new services are up", self._last[Role.MAIN], self._reloading)
        if self._first[Role.LEAVING]:
            remaining = [*self._last[Role.MAIN], *self._last[Role.ADAPTING]]
            self._gate("the remaining nodes have adapted", remaining, self._first[Role.LEAVING])

    def _line(self, group: int, actions: Sequence[str], service: str, after: Sequence[int]) -> tuple[int, ...]:
        line: list[int] = []
        for action in actions:
            line.append(len(self.steps))
            self.steps.append(Step(group, action, service, tuple(line[-2:-1]) or tuple(after)))
        return tuple(line)

    def _gate(self, name: str, members: Sequence[int], waiting: Sequence[int]) -> None:
        if not members:
            return
        gate = len(self.joins)
        self.joins.append(Join(name, tuple(dict.fromkeys(members))))
        for step in waiting:
            self.steps[step] = replace(self.steps[step], joins=(*self.steps[step].joins, gate))

    def _awaited(self, leaving: bool, action: str, service: str) -> list[_Key]:
        """Return what the task type waits for."""
        if self._dependencies is None:
            return []

        def has(wanted: str) -> Callable[[str], bool]:
            return lambda name: (leaving, wanted, name) in self._members

        if action == Action.INSTALL:
            found = self._dependencies.nearest("install", service, has(Action.INSTALL))
            return [(leaving, Action.INSTALL, name) for name in found]
        if action == Action.REMOVE:
            found = self._dependencies.nearest("install", service, has(Action.REMOVE), back=True)
            return [(leaving, Action.REMOVE, name) for name in found]
        if action == Action.STOP:
            found = self._dependencies.nearest("runtime", service, has(Action.STOP), back=True)
            return [(leaving, Action.STOP, name) for name in found]
        if action in (Action.INITIALIZE, Action.START):
            starts, initializes = has(Action.START), has(Action.INITIALIZE)
            found = self._dependencies.nearest("runtime", service, lambda name: starts(name) or initializes(name))
            return [(leaving, Action.START if starts(name) else Action.INITIALIZE, name) for name in found]
        return []

    def _join(self, key: _Key) -> int:
        """Return the join of all tasks of a type, made on first need."""
        if key not in self._join_of:
            self._join_of[key] = len(self.joins)
            self.joins.append(Join(task_type(key[1], key[2]), tuple(self._members[key])))
        return self._join_of[key]
