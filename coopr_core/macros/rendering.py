"""Config as the nodes get it, and what a change of a cluster changes in it, for which service on which node.

Promise: a service on a node counts as changed exactly when something CONFIGURE would bring there differs: a value among
the config paths it reads, its actions and what macros in their fields give, its files or its resources. Secrets never
appear: ``%secret.x%`` becomes a mark, the same for the same name. Cost: linear in config and fields, once for all nodes
unless a macro depends on the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coopr_core.macros.checks import uses
from coopr_core.macros.context import MacroContext, MacroNode
from coopr_core.macros.expander import UnresolvedMacro, expand
from coopr_core.model.courses import Action
from coopr_core.model.layout import ClusterLayout

if TYPE_CHECKING:
    from coopr_core.catalog.entities import Service

_MISSING = object()
_RUN_AGAIN = frozenset(action.lower() for action in (Action.CONFIGURE, Action.START, Action.STOP))
"""What INSTALL alone is given takes effect on new nodes."""


class Rendering:
    """The config of one cluster, expanded for each of its nodes."""

    def __init__(self, layout: ClusterLayout, nodes: Sequence[MacroNode], owner: str) -> None:
        """``nodes`` are the layout's, with their addresses. Raises ``UnresolvedMacro`` on first use, not here."""
        self._layout = layout
        self._context = MacroContext(
            owner=owner, nodes=nodes, secret=lambda name: f"(secret {name})", config=layout.config
        )
        self._alike = not any(use.is_own for use in uses(layout.config))
        self._expanded: dict[int, dict[str, Any]] = {}
        self._fields: dict[tuple[str, int], dict[str, Any]] = {}
        self._actions: dict[str, tuple[list[str], bool]] = {}

    def config(self, number: int) -> dict[str, Any]:
        """Return the config as node ``number`` gets it; to be read only."""
        key = -1 if self._alike else number
        if key not in self._expanded:
            self._expanded[key] = expand(dict(self._layout.config), self._context.at(number))
        return self._expanded[key]

    def seen(self, service: Service, number: int) -> dict[str, Any]:
        """Return what ``service`` reads of it: values by path.

        All of it, by top-level key, when the service does not say.
        """
        config = self.config(number)
        return {path: _at(config, path) for path in service.config} if service.config else config

    def fields(self, service: Service, number: int) -> dict[str, Any]:
        """Return the fields with macros of what a change of config runs, by action, as they are for node ``number``."""
        actions, own = self._with_macros(service)
        key = (service.name, number if own else -1)
        if key not in self._fields:
            context = self._context.at(number)
            self._fields[key] = {
                name: expand(service.actions[name].fields, context, fields_path(service.name, name), loose=True)
                for name in actions
            }
        return self._fields[key]

    def _with_macros(self, service: Service) -> tuple[list[str], bool]:
        """Return the actions with macros in their fields, and whether any of those depends on the node."""
        if service.name not in self._actions:
            actions = {name: action for name, action in service.actions.items() if name in _RUN_AGAIN}
            found = {name: list(uses(action.fields, loose=True)) for name, action in actions.items()}
            own = any(use.is_own for each in found.values() for use in each)
            self._actions[service.name] = [name for name, each in found.items() if each], own
        return self._actions[service.name]


def changed_services(
    before: ClusterLayout,
    after: ClusterLayout,
    *,
    owner: str,
    nodes_before: Sequence[MacroNode],
    nodes_after: Sequence[MacroNode],
) -> dict[int, tuple[str, ...]]:
    """Return the services that stay on their node and find something else there, by node.

    Nodes without any are left out.

    Raises ``UnresolvedMacro`` when either config cannot be expanded.
    """
    old, new = Rendering(before, nodes_before, owner), Rendering(after, nodes_after, owner)
    had = {node.number: frozenset(node.services) for node in before.nodes}
    redefined = {
        name
        for name, service in after.services.items()
        if name in before.services and _definition(before.services[name]) != _definition(service)
    }
    found = {}
    for node in after.nodes:
        names = tuple(
            name
            for name in node.services
            if name in had.get(node.number, ())
            and (
                name in redefined
                or old.seen(after.services[name], node.number) != new.seen(after.services[name], node.number)
                or fields_differ(old, new, after.services[name], node.number)
            )
        )
        if names:
            found[node.number] = names
    return found


def fields_differ(old: Rendering, new: Rendering, service: Service, number: int) -> bool:
    """Whether the macros in the service's actions give something else than before, or gave nothing at all."""
    now = new.fields(service, number)
    try:
        return old.fields(service, number) != now
    except UnresolvedMacro:
        return True


def fields_path(service: str, action: str) -> str:
    """How the fields of a service's action are called in messages."""
    return f"service {service}: actions.{action}.fields"


def _definition(service: Service) -> tuple[object, ...]:
    return service.provisioner, service.brought


def _at(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for part in path.split("."):
        value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value
