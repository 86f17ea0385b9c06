"""What a course asks of a node.

A program is all a node goes through: actions on the machine first, then one chain of actions for each service, then
actions on the machine again. Operations differ in nothing but the programs they give to nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from coopr_core.catalog.entities import Service
from coopr_core.model.courses import NODE_ACTIONS, Action, Course, texts

PREPARING = frozenset(texts(Action.CREATE, Action.CONFIRM, Action.BOOTSTRAP, Action.INSTALL, Action.CONFIGURE))
"""The actions that make a node ready for its services to come up."""


class Role(Enum):
    """How a chain takes part in an operation: it is what the operation is about, adapts to that, or goes away."""

    MAIN = "main"
    ADAPTING = "adapting"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Chain:
    """The actions one service of a node goes through, in order; only actions the service defines."""

    service: str
    actions: tuple[str, ...]
    role: Role = Role.MAIN


@dataclass(frozen=True, slots=True)
class Program:
    """What a node goes through: ``before``, then all ``chains`` side by side, then ``after``."""

    before: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    after: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.before or self.chains or self.after)

    def __add__(self, other: Program) -> Program:
        """Return one program that does both, for a node that gains a service while another adapts."""
        if not self or not other:
            return self or other
        before = tuple(sorted({*self.before, *other.before}, key=NODE_ACTIONS.index))
        chains = tuple(sorted((*self.chains, *other.chains), key=lambda chain: chain.service))
        return Program(before, chains, self.after + other.after)


def program(
    course: Course,
    names: Collection[str],
    services: Mapping[str, Service],
    *,
    role: Role = Role.MAIN,
    every_node: bool = False,
) -> Program:
    """Return what ``course`` asks of a node for the services ``names``, defined in ``services``.

    A node with none of them is left alone unless ``every_node`` says that the course is about the machines too
    (rule D8).
    """
    if not names and not every_node:
        return Program()
    machine = tuple(action for action in course.actions if action in NODE_ACTIONS)
    chains = []
    for name in sorted(names):
        actions = tuple(
            action
            for action in course.actions
            if action not in NODE_ACTIONS and action.lower() in services[name].actions
        )
        if actions:
            chains.append(Chain(name, actions, role))
    if role is Role.LEAVING:
        return Program(chains=tuple(chains), after=machine)
    return Program(machine, tuple(chains))
