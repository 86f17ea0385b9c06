"""How long a plan takes: its critical path over the folded graph, and an estimate that walks the plan on a clock.

Both are linear in the tasks (the estimate times the log of the concurrency) and start nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from coopr_core.errors import InvalidInput
from coopr_core.planner.tasks import Task

if TYPE_CHECKING:
    from coopr_core.planner.plans import Plan
    from coopr_core.planner.walk import Schedule

Durations = Mapping[tuple[str, str], float]
"""Seconds a task takes, by (service, action); service is "" for actions on the machine."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a plan takes, as far as past durations tell.

    ``seconds`` is from start to end, ``work`` the sum over all tasks, ``unknown`` the (service, action) pairs without a
    duration: they count as the mean of the known ones of the same action, or of all, and as nothing if none is known.
    """

    seconds: float
    work: float
    critical_path: tuple[Task, ...]
    unknown: tuple[tuple[str, str], ...] = ()


def critical_path(plan: Plan, durations: Durations | None = None) -> tuple[Task, ...]:
    """Return the chain of dependent tasks that takes longest, first to last.

    Where several nodes could stand, the first does.

    Without ``durations`` every task counts the same. That a node does one task at a time is not considered.
    """
    return tuple(
        Task(node, plan.graph.steps[n].action, plan.graph.steps[n].service) for n, node in _path(plan, durations)
    )


def critical_steps(plan: Plan, durations: Durations | None = None) -> tuple[int, ...]:
    """Return the critical path as steps of the folded graph."""
    return tuple(step for step, _ in _path(plan, durations))


def estimate(
    plan: Plan, durations: Durations, *, concurrency: int | None = None, schedule: Schedule = "stages"
) -> Estimate:
    """Walk ``plan`` on a clock, at most ``concurrency`` tasks at a time (None: no bound), one on each node."""
    if concurrency is not None and concurrency < 1:
        raise InvalidInput(f"a concurrency of {concurrency} runs nothing", hint="at least 1")
    weights = dict(zip(((s.service, s.action) for s in plan.graph.steps), _weights(plan, durations), strict=True))
    walker = plan.walk(schedule)
    waiting = deque(walker.ready())
    running: list[tuple[float, int, Task]] = []
    now = work = 0.0
    started = 0
    while waiting or running:
        while waiting and (concurrency is None or len(running) < concurrency):
            task = waiting.popleft()
            started += 1
            seconds = weights[task.service, task.action]
            work += seconds
            heappush(running, (now + seconds, started, task))
        now, _, task = heappop(running)
        walker.complete(task)
        while running and running[0][0] <= now:
            walker.complete(heappop(running)[2])
        waiting.extend(walker.ready())
    unknown = sorted({(s.service, s.action) for s in plan.graph.steps}.difference(durations))
    return Estimate(now, work, critical_path(plan, durations), tuple(unknown))


def _weights(plan: Plan, durations: Durations | None) -> list[float]:
    """Seconds for each step; 1 for each when no durations are given."""
    if durations is None:
        return [1.0] * len(plan.graph.steps)
    same_action: dict[str, list[float]] = {}
    for (_, action), seconds in durations.items():
        same_action.setdefault(action, []).append(seconds)
    known = [seconds for several in same_action.values() for seconds in several]
    default = sum(known) / len(known) if known else 0.0
    means = {action: sum(several) / len(several) for action, several in same_action.items()}
    return [durations.get((s.service, s.action), means.get(s.action, default)) for s in plan.graph.steps]


def _path(plan: Plan, durations: Durations | None) -> list[tuple[int, int]]:
    """Return the critical path as (step, node) pairs.

    A step of the same nodes as the one after it stays on its node.
    """
    graph = plan.graph
    path: list[tuple[int, int]] = []
    for number in reversed(graph.heaviest_path(_weights(plan, durations))):
        nodes = graph.groups[graph.steps[number].group]
        stays = bool(path) and graph.steps[path[-1][0]].group == graph.steps[number].group
        path.append((number, path[-1][1] if stays else nodes[0]))
    return path[::-1]
