"""A change of a cluster that may start: the plan, what will be on record, and what differs for whom.

Pure values; the command shows them before it asks, the flow runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import InvalidInput
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.request import ClusterRequest
from coopr_core.operations.confirmation import Part, Parts, setting_parts
from coopr_core.operations.difference import NodeDifference
from coopr_core.operations.job import PreparedJob

if TYPE_CHECKING:
    from coopr_core.operations.current import Present
    from coopr_core.store.cluster_change import ClusterChange


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChange(PreparedJob):
    """A change that may start.

    ``layout``, ``request`` and ``template`` are what will be on record; ``recorded`` is False for operations that
    change none of them.
    """

    layout: ClusterLayout
    request: ClusterRequest
    template: ClusterTemplate
    recorded: bool = False
    differences: tuple[NodeDifference, ...] = ()

    @property
    def parts(self) -> Parts:
        """What the change starts from, and everything it leads to."""
        layout = self.layout
        return {
            **self.origin,
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
        """Return the differences and the tasks as JSON values."""
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


def check_renderable(after: ClusterLayout) -> None:
    """Raise ``InvalidInput`` with every macro of config and links that has no value on this layout."""
    from coopr_core.operations.config import config_problems, escape_hint

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
