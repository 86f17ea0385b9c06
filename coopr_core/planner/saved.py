"""A plan as JSON and back, and fingerprints of what a plan was made from.

The JSON holds the folded graph, which is all a plan is, and the stages task by task for readers that do not want to
unfold it. Its size is linear in the number of tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from coopr_core.errors import InvalidInput
from coopr_core.model.layout import Node
from coopr_core.model.operations import course_named
from coopr_core.planner.graph import Join, Step, TaskGraph

if TYPE_CHECKING:
    from coopr_core.planner.plans import Plan

FORMAT = "coopr-plan"
VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SavedStep(_Strict):
    action: str
    service: str = ""
    after: tuple[int, ...] = ()
    joins: tuple[int, ...] = ()


class _SavedGroup(_Strict):
    nodes: tuple[int, ...]
    steps: tuple[int, ...]


class _SavedJoin(_Strict):
    name: str
    members: tuple[int, ...]


class _SavedPlan(_Strict):
    model_config = ConfigDict(extra="ignore", frozen=True)

    operation: str
    groups: tuple[_SavedGroup, ...]
    steps: tuple[_SavedStep, ...]
    joins: tuple[_SavedJoin, ...]


_SAVED = TypeAdapter(_SavedPlan)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values.

    ``groups`` are nodes with the same steps; ``steps`` and ``joins`` are referred to by their position from 0;
    ``after`` are steps of the same node. ``stages`` list each task with its number, which its task id ends with, and
    its ``step``.
    """
    numbers = iter(range(1, len(plan) + 1))
    return {
        **graph_to_json(plan),
        "counts": {
            "tasks": len(plan),
            "nodes": len(plan.nodes),
            **plan.changes._asdict(),
            "levels": len(plan.levels),
            "stages": len(plan.stages),
        },
        "stages": [
            [
                {
                    "number": next(numbers),
                    "node": task.node,
                    "action": task.action,
                    "service": task.service,
                    "step": plan.step(task),
                }
                for task in stage
            ]
            for stage in plan.stages
        ],
        "critical_path": [
            {"node": task.node, "action": task.action, "service": task.service} for task in plan.critical_path()
        ],
    }


def graph_to_json(plan: Plan) -> dict[str, Any]:
    """Return the least that ``read_plan`` reads: the folded graph alone, small as the kinds of tasks are few."""
    graph = plan.graph
    steps_of: list[list[int]] = [[] for _ in graph.groups]
    for number, step in enumerate(graph.steps):
        steps_of[step.group].append(number)
    return {
        "format": FORMAT,
        "version": VERSION,
        "operation": plan.operation,
        "groups": [{"nodes": list(nodes), "steps": steps} for nodes, steps in zip(graph.groups, steps_of, strict=True)],
        "steps": [
            {"action": s.action, "service": s.service, "after": list(s.after), "joins": list(s.joins)}
            for s in graph.steps
        ],
        "joins": [{"name": join.name, "members": list(join.members)} for join in graph.joins],
    }


def read_plan(value: Mapping[str, Any]) -> tuple[str, TaskGraph]:
    """Return operation and folded graph of the plan that ``plan_to_json`` wrote.

    Raises InvalidInput when the value is none, of another version, or damaged.
    """
    if value.get("format") != FORMAT:
        raise InvalidInput("this is not a saved plan", hint="save one with: coopr plan -o FILE.plan")
    if value.get("version") != VERSION:
        raise InvalidInput(
            f"the plan was saved in version {value.get('version')} of the format, this coopr reads version {VERSION}",
            hint="make the plan again",
        )
    if course_named(str(value.get("operation"))) is None:
        raise InvalidInput(
            f"the saved plan is of an unknown operation {value.get('operation')!r}", hint="make it again"
        )
    try:
        saved = _SAVED.validate_python(value)
        graph = _graph(saved)
    except (ValidationError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidInput(f"the saved plan is damaged: {reason}", hint="make the plan again") from error
    return saved.operation, graph


def _graph(saved: _SavedPlan) -> TaskGraph:
    group_of = {step: number for number, group in enumerate(saved.groups) for step in group.steps}
    if sorted(group_of) != list(range(len(saved.steps))):
        raise ValueError("its groups do not have each step once")
    nodes = [node for group in saved.groups for node in group.nodes]
    if len(set(nodes)) != len(nodes):
        raise ValueError("a node is in two groups")
    for number, step in enumerate(saved.steps):
        if any(not 0 <= before < len(saved.steps) or group_of[before] != group_of[number] for before in step.after):
            raise ValueError(f"step {number} follows one that its node does not have")
        if any(not 0 <= join < len(saved.joins) for join in step.joins):
            raise ValueError(f"step {number} waits for a join that is not there")
    for join in saved.joins:
        if any(not 0 <= member < len(saved.steps) for member in join.members):
            raise ValueError(f"the join {join.name} has a member that is not there")
    graph = TaskGraph(
        groups=tuple(group.nodes for group in saved.groups),
        steps=tuple(Step(group_of[n], s.action, s.service, s.after, s.joins) for n, s in enumerate(saved.steps)),
        joins=tuple(Join(join.name, join.members) for join in saved.joins),
    )
    _ = graph.order
    return graph


def fingerprint(*values: object) -> str:
    """Return a short text that changes when any of ``values`` does: layouts, entities, plans, plain JSON values.

    ``coopr apply`` compares the fingerprints of catalog and cluster in the plan file with today's. Mappings compare
    regardless of their order, sequences do not.
    """
    text = json.dumps(values, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Any:
    """Bring ``value`` one layer closer to JSON, with the name of its class so that equal fields of two kinds differ.

    Fields that a model says are ``LATER`` than the first plan files count only when they say something.
    """
    if isinstance(value, BaseModel):
        model = type(value)
        later: Iterable[str] = getattr(model, "LATER", ())
        silent = {name for name in later if getattr(value, name) == model.model_fields[name].default}
        written = value.model_dump(mode="json").items()
        return {"": model.__name__, **{name: each for name, each in written if name not in silent}}
    if isinstance(value, Node):
        return {"": "Node", **value.to_plain()}
    if is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__, **{field.name: getattr(value, field.name) for field in fields(value)}}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"cannot take a fingerprint of a {type(value).__name__}")
