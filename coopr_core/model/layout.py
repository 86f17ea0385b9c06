"""A cluster's layout: which services are on which node, with which hardware and image. A plain value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from coopr_core.model.placement import NOWHERE, Alternative, Placed, Placement

if TYPE_CHECKING:
    from coopr_core.catalog.entities import Link, Service

FIRST_NODE_NUMBER = 1000
"""Nodes are numbered from here, as in the original."""


@dataclass(frozen=True, slots=True)
class Node(Placed):
    """One machine of a cluster.

    ``services`` is sorted; ``price`` is per hour, None when the catalog does not say. ``alternatives`` are where its
    machine may be made when there is no room, in the order they are tried; they are no part of what the node is.
    """

    number: int
    host_name: str = ""
    placement: Placement = NOWHERE
    services: tuple[str, ...] = ()
    ssh_user: str = ""
    price: float | None = None
    alternatives: tuple[Alternative, ...] = field(default=(), compare=False)

    def placed(self, **changes: Any) -> Node:
        """Return the node with another placement, which differs in this."""
        return replace(self, placement=replace(self.placement, **changes))

    def to_plain(self) -> dict[str, Any]:
        """Return what the node is, for comparing: the same in every version."""
        return {
            "number": self.number,
            "host_name": self.host_name,
            "hardware_type": self.hardware_type,
            "image_type": self.image_type,
            "flavor": self.flavor,
            "image": self.image,
            "services": self.services,
            "ssh_user": self.ssh_user,
            "zone": self.zone,
            "price": self.price,
            "options": self.options,
        }


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """The nodes of a cluster in number order, and the services on them by name.

    ``config`` is the template's config with the request's merged over it, macros not yet expanded. A layout can be
    built without solving: ``ClusterLayout(nodes=(Node(1000, services=("a",)),), services={"a": service})``.
    """

    nodes: tuple[Node, ...]
    services: Mapping[str, Service] = field(default_factory=dict)
    template: str = ""
    provider: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    def nodes_with(self, service: str) -> tuple[Node, ...]:
        """Return the nodes that have ``service``, in number order."""
        return tuple(node for node in self.nodes if service in node.services)
