"""A change of a cluster that may start: the plan, what will be on record, and what differs for whom.

Pure values; the command shows them before it asks, the flow runs them. Never imports Prefect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import InvalidInput
from coopr_core.macros.differences import difference
from coopr_core.macros.rendering import Rendering, changed_services
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, NewestJob
from coopr_core.model.request import ClusterRequest
from coopr_core.operations.confirmation import (
    Part,
    Parts,
    Prepared,
    called,
    cluster_parts,
    mattering_settings,
    setting_parts,
)

if TYPE_CHECKING:
    from coopr_core.operations.current import Present
    from coopr_core.planner import Plan
    from coopr_core.store.cluster_change import ClusterChange


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """What differs in the config of some nodes, alike for all of them, and the services of theirs it reaches."""

    nodes: tuple[int, ...]
    host_names: tuple[str, ...]
    lines: tuple[str, ...]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparedChange(Prepared):
    """A change that may start.

    ``layout``, ``request`` and ``template`` are what will be on record; ``recorded`` is False for operations that
    change none of them. ``newest`` is the cluster's newest job, ``parameters`` what the job of this change will
    remember of how it was called.
    """

    cluster: ClusterRecord
    operation: Operation
    plan: Plan
    layout: ClusterLayout
    request: ClusterRequest
    template: ClusterTemplate
    newest: NewestJob
    recorded: bool = False
    differences: tuple[NodeDifference, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=mattering_settings)

    @property
    def subject(self) -> str:
        """The cluster."""
        return called(self.cluster)

    @property
    def parts(self) -> Parts:
        """What the change starts from, and everything it leads to."""
        layout = self.layout
        return {
            **cluster_parts(self.cluster, self.newest),
            "the operation": Part.of(self.operation, str(self.operation)),
            "the plan": Part.of_plan(self.plan),
            "the layout": Part.of(layout.nodes, f"{len(layout.nodes)} nodes"),
            "the config": Part.of(layout.config),
            "the links": Part.of(layout.links),
            "the request": Part.of(self.request),
            "the options": Part.of(self.parameters),
            f"template {self.template.name}": Part.of(self.template),
            **{f"service {name}": Part.of(service) for name, service in layout.services.items()},
            **setting_parts(self.settings),
        }

    @property
    def nothing_to_do(self) -> bool:
        """Whether the cluster is as it is wanted already."""
        return not self.recorded and not len(self.plan)

    @property
    def change(self) -> ClusterChange | None:
        """What the store is to write with the job."""
        from coopr_core.store.cluster_change import ClusterChange

        if not self.recorded:
            return None
        return ClusterChange(
            self.layout,
            self.request,
            self.template,
            self.cluster.last_job,
            catalog=self.parameters.get("catalog", ()),
        )

    def to_json(self) -> dict[str, Any]:
        """The differences and the tasks as JSON values."""
        return {
            "version": 1,
            "cluster": self.cluster.name,
            "operation": str(self.operation),
            "differences": [
                {
                    "nodes": list(one.nodes),
                    "host_names": list(one.host_names),
                    "services": list(one.services),
                    "diff": list(one.lines),
                }
                for one in self.differences
            ],
            "tasks": len(self.plan),
        }


def reached(
    now: Present, after: ClusterLayout, then: Present | None = None, *, restart: bool = True
) -> dict[int, tuple[str, ...]]:
    """The services of each node that ``after`` changes something for and that have something to do about it.

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
    actions = {"configure", "start", "stop"} if restart else {"configure"}
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
    """What differs in the rendered config of each node, nodes alike together; secrets are hidden."""
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


def check_renderable(after: ClusterLayout) -> None:
    """Raise ``InvalidInput`` with every macro of config and links that has no value on this layout."""
    from coopr_core.operations.create import config_problems, escape_hint

    problems = config_problems(after)
    if problems:
        raise InvalidInput(
            "the cluster could not be run with this config",
            hint=f"correct the config at the places named; nothing was changed{escape_hint(after)}",
            problems=problems,
        )


def check_keys(now: Present, config: Mapping[str, Any]) -> None:
    """Raise ``InvalidInput`` with every key that no service of the cluster reads and that is not on record already."""
    from coopr_core.catalog.checks.config_keys import HINT, unread_keys

    unread = unread_keys(config, now.template, now.layout.services.values(), now.layout.config)
    if unread:
        raise InvalidInput(
            "the config has keys that nobody reads",
            hint=f"correct the keys named; nothing was changed; {HINT}",
            problems=[key.problem for key in unread],
        )
