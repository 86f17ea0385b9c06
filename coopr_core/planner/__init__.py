"""The planner: an operation on a layout becomes tasks, their dependencies and stages; no Prefect, no SSH in here.

``plan(operation, layout) -> Plan``; ``Plan.walk()`` hands the tasks out. The way through: ``programs`` (what is asked
of a node) -> ``dependencies`` (which service waits for which) -> ``folding`` -> ``graph`` (the task graph) -> ``plans``
-> ``walk``, ``estimate``, ``drawing``, ``saved``. Names are imported on first use; networkx only when a plan is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.planner.dependencies import DependencyCycle, ServiceDependencies, dependency_cycles
    from coopr_core.planner.drawing import draw
    from coopr_core.planner.estimate import Estimate
    from coopr_core.planner.planning import plan
    from coopr_core.planner.plans import Plan
    from coopr_core.planner.rolling import roll
    from coopr_core.planner.saved import fingerprint
    from coopr_core.planner.tasks import Task
    from coopr_core.planner.walk import Schedule, Walker

__all__ = [
    "DependencyCycle",
    "Estimate",
    "Plan",
    "Schedule",
    "ServiceDependencies",
    "Task",
    "Walker",
    "dependency_cycles",
    "draw",
    "fingerprint",
    "plan",
    "roll",
]

_MODULES = {
    "DependencyCycle": "dependencies",
    "Estimate": "estimate",
    "Plan": "plans",
    "Schedule": "walk",
    "ServiceDependencies": "dependencies",
    "Task": "tasks",
    "Walker": "walk",
    "dependency_cycles": "dependencies",
    "draw": "drawing",
    "fingerprint": "saved",
    "plan": "planning",
    "roll": "rolling",
}


def __getattr__(name: str) -> Any:
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{module}"), name)
