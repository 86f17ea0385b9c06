"""What a change makes different for whom: which services of which nodes it reaches, and their config before and after.

Pure functions of the cluster as it is and as it will be. Cost: a rendering of each node's config, nodes alike shared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coopr_core.macros.differences import difference
from coopr_core.macros.rendering import Rendering, changed_services, fields_differ
from coopr_core.model.courses import Action
from coopr_core.model.layout import ClusterLayout

if TYPE_CHECKING:
    from coopr_core.operations.current import Present

_CONFIGURE, _START, _STOP = (action.lower() for action in (Action.CONFIGURE, Action.START, Action.STOP))


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """What differs in the config of some nodes, alike for all of them, and the services of theirs it reaches."""

    nodes: tuple[int, ...]
    host_names: tuple[str, ...]
    lines: tuple[str, ...]
    services: tuple[str, ...]


def reached(
    now: Present, after: ClusterLayout, then: Present | None = None, *, restart: bool = True
) -> dict[int, tuple[str, ...]]:
    """Return the services of each node that ``after`` changes something for and that have something to do about it.

    That is a CONFIGURE, a restart if there may be one, or new files to take. ``then`` has the nodes as they will be,
    where that is not as they are. Raises ``UnresolvedMacro``.
    """
    changed = changed_services(
        now.layout,
        after,
        owner=now.cluster.owner,
        nodes_before=now.members(now.layout),
        nodes_after=(then or now).members(after),
    )
    actions = {_CONFIGURE, _START, _STOP} if restart else {_CONFIGURE}
    useful = {
        name
        for name, service in after.services.items()
        if actions.intersection(service.actions)
        or ((before := now.layout.services.get(name)) is not None and before.brought != service.brought)
    }
    kept = {number: tuple(name for name in names if name in useful) for number, names in changed.items()}
    return {number: names for number, names in kept.items() if names}


def differences(
    now: Present, after: ClusterLayout, changed: Mapping[int, tuple[str, ...]]
) -> tuple[NodeDifference, ...]:
    """Return what differs in the rendered config of each node, nodes alike together; secrets are hidden."""
    owner = now.cluster.owner
    old = Rendering(now.layout, now.members(now.layout), owner)
    new = Rendering(after, now.members(after), owner)
    hosts = {node.number: node.host_name for node in after.nodes}
    texts: dict[tuple[int, int], tuple[str, ...]] = {}
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for node in after.nodes:
        before, then = old.config(node.number), new.config(node.number)
        key = (id(before), id(then))
        if key not in texts:
            texts[key] = difference(before, then)
        services = changed.get(node.number, ())
        if texts[key] or services:
            alike.setdefault((texts[key], services), []).append(node.number)
    return tuple(
        NodeDifference(tuple(numbers), tuple(hosts[number] for number in numbers), lines, services)
        for (lines, services), numbers in alike.items()
    )


def reloading(
    now: Present, then: Present, after: ClusterLayout, changed: Mapping[int, Collection[str]]
) -> dict[int, tuple[str, ...]]:
    """Return those of the services that change which take all that changes for them without a restart."""
    owner = now.cluster.owner
    old = Rendering(now.layout, now.members(now.layout), owner)
    new = Rendering(after, then.members(after), owner)
    found = {}
    for number, names in changed.items():
        taking = []
        for name in names:
            service = after.services[name]
            rest = tuple(path for path in service.config if path not in service.reloads)
            other = service.model_copy(update={"config": rest})
            stay = not fields_differ(old, new, service, number)
            if service.reloads and stay and (not rest or old.seen(other, number) == new.seen(other, number)):
                taking.append(name)
        if taking:
            found[number] = tuple(taking)
    return found
