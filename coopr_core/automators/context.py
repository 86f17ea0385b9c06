"""What one task knows: its ids, its node and machine, the action with its fields, the config, the other nodes.

Promise: an automator is told everything it may use in one value, macros expanded for the node, and asks nobody for
more. Config and fields may hold secrets, so they never show in a text of the value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from coopr_core.automators.keys import escaped, key_lines
from coopr_core.automators.node_folders import NodeFolders
from coopr_core.catalog.entities import Service, ServiceAction
from coopr_core.errors import InvalidInput


class SeenNodes:
    """The nodes of a cluster as some of them are to know them: by number as text, with their properties.

    One value serves all tasks that see the same nodes, and is rendered once for them.
    """

    def __init__(self, properties: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.properties = properties or {}

    @cached_property
    def text(self) -> str:
        """The nodes as JSON."""
        return json.dumps(self.properties)

    @cached_property
    def value(self) -> str:
        """The nodes as one value among the keys of a task."""
        return escaped(json.dumps(self.properties, ensure_ascii=False))

    @cached_property
    def keys(self) -> str:
        """The nodes among the keys of a task."""
        return key_lines(self.properties, "config/nodes")


@dataclass(frozen=True, slots=True)
class TaskContext:
    """All that one task may know about the node it works on.

    ``action`` is in the tasks' spelling (``BOOTSTRAP``, ``START``); ``service`` is the one whose action it is, None for
    BOOTSTRAP; ``services`` are the node's own, in name order. ``fields`` (the action's) and ``config`` (the cluster's)
    are expanded for the node. ``root`` is the folder that the node's absolute paths live below. ``leaving`` are the
    host names of the nodes with the same service that leave the cluster together with this one.
    """

    task_id: str
    action: str
    number: int
    host_name: str
    root: str = "/"
    services: Sequence[Service] = ()
    service: Service | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    job_id: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    ssh_user: str = ""
    hardware_type: str = ""
    image_type: str = ""
    flavor: str = ""
    image: str = ""
    nodes: SeenNodes = field(default_factory=SeenNodes, repr=False)
    leaving: Sequence[str] = ()

    @property
    def folders(self) -> NodeFolders:
        """Where things are on the node."""
        return NodeFolders(self.root)

    @property
    def acting(self) -> Service:
        """The service whose action the task is. Raises ``InvalidInput`` for a task of the node itself."""
        if self.service is None:
            raise InvalidInput(f"{self.action} is no action of a service")
        return self.service

    @property
    def definition(self) -> ServiceAction:
        """The service's own word on the action. Raises ``InvalidInput`` when it does not define it."""
        name, actions = self.action.lower(), self.acting.actions
        if name not in actions:
            defined = ", ".join(actions) or "none"
            raise InvalidInput(f"service {self.acting.name!r} has no action {name!r}; it defines: {defined}")
        return actions[name]

    def resource(self, path: str) -> str:
        """Return where a resource of the acting service, or something in one, is on the node.

        Raises ``InvalidInput`` for one that the service does not name.
        """
        names = [resource.name for resource in self.acting.resources]
        if not any(path == name or path.startswith(f"{name}/") for name in names):
            raise InvalidInput(
                f"service {self.acting.name!r} has no resource {path!r}; it names: {', '.join(names) or 'none'}",
                hint="Name it in the service's catalog entry, below 'resources'.",
            )
        return f"{self.folders.resources(self.acting.name)}/{path}"

    @property
    def automators(self) -> list[str]:
        """The names of the automators that the node's services use, sorted."""
        return sorted({action.type for service in self.services for action in service.actions.values()})
