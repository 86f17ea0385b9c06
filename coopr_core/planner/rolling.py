"""Rolling operations: services are stopped, started or restarted on a few nodes at a time, the others keep running.

Promise: no task of a batch is ready before every task of the batch before it has succeeded, the services' own health
check included; so a failure leaves the batches after it as they are. Only the services named are touched: what depends
on them counts on the nodes that are not in turn. Cost: a group of nodes per batch, linear in the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput
from coopr_core.model.courses import Action, Course
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.operations import course_named, courses
from coopr_core.planner.dependencies import ServiceDependencies
from coopr_core.planner.folding import fold
from coopr_core.planner.graph import Join, Step, TaskGraph
from coopr_core.planner.plans import Plan
from coopr_core.planner.programs import Chain, Program, program
from coopr_core.suggestions import among


def roll(operation: str, layout: ClusterLayout, services: Iterable[str] | None = None, batch: int = 1) -> Plan:
    """Return the plan of ``operation`` on ``services`` (None: all), ``batch`` of the nodes that have one at a time.

    Nodes go in number order. Where services start, each that defines a ``health`` action is checked afterwards; for
    the others having started is enough. Raises ``InvalidInput`` for an operation that cannot be rolling, a service that
    is not on the cluster, or a batch of no nodes.
    """
    course = course_named(operation)
    if course is None or not course.rolling:
        rolling = ", ".join(sorted(each.name for each in courses() if each.rolling))
        raise InvalidInput(f"{operation} cannot be rolling", hint=f"one of {rolling}")
    if batch < 1:
        raise InvalidInput(f"a batch has at least one node, not {batch}", hint="--batch 1 is one node at a time")
    placed = {name for node in layout.nodes for name in node.services}
    chosen = placed if services is None else set(services)
    if unknown := sorted(chosen - placed):
        raise InvalidInput(
            f"no service {', '.join(unknown)} on the cluster", hint=among(unknown[0], placed, "its services")
        )
    dependencies = ServiceDependencies({name: layout.services[name] for name in sorted(placed)})
    asked = [(node.number, _program(course, chosen.intersection(node.services), layout)) for node in layout.nodes]
    concerned = [(number, steps) for number, steps in asked if steps]
    line = _Line()
    for first in range(0, len(concerned), batch):
        programs: dict[Program, list[int]] = {}
        for number, steps in concerned[first : first + batch]:
            programs.setdefault(steps, []).append(number)
        line.append(fold(programs, dependencies), f"the first {first} nodes are done")
    return Plan(course.name, TaskGraph(tuple(line.groups), tuple(line.steps), tuple(line.joins)))


def _program(course: Course, names: set[str], layout: ClusterLayout) -> Program:
    asked = program(course, names, layout.services)
    return replace(asked, chains=tuple(_checked(chain, layout.services[chain.service]) for chain in asked.chains))


def _checked(chain: Chain, service: Service) -> Chain:
    """Return the chain with the service's health check behind its start."""
    if Action.START not in chain.actions or Action.HEALTH.lower() not in service.actions:
        return chain
    return replace(chain, actions=(*chain.actions, Action.HEALTH.value))


class _Line:
    """Task graphs one after the other, each behind a gate that the one before it opens."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, ...]] = []
        self.steps: list[Step] = []
        self.joins: list[Join] = []
        self._ends: tuple[int, ...] = ()

    def append(self, graph: TaskGraph, gate: str) -> None:
        """Put ``graph`` behind what is there; ``gate`` is what it waits for, in words."""
        groups, steps = len(self.groups), len(self.steps)
        waits: tuple[int, ...] = ()
        if self._ends:
            waits = (len(self.joins),)
            self.joins.append(Join(gate, self._ends))
        joins = len(self.joins)
        for step in graph.steps:
            moved = replace(
                step,
                group=step.group + groups,
                after=tuple(number + steps for number in step.after),
                joins=(*(number + joins for number in step.joins), *(() if step.after else waits)),
            )
            self.steps.append(moved)
        for join in graph.joins:
            self.joins.append(replace(join, members=tuple(member + steps for member in join.members)))
        self.groups.extend(graph.groups)
        followed = {number for step in graph.steps for number in step.after}
        followed.update(member for join in graph.joins for member in join.members)
        self._ends = tuple(number + steps for number in range(len(graph.steps)) if number not in followed)
