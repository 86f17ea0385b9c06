"""A cluster's layout: which services are on which node, with which hardware and image. A plain value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.catalog.entities import Link, Service

FIRST_NODE_NUMBER = 1000
"""Nodes are numbered from here, as in the original."""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster.

    ``flavor`` and ``image`` are the provider's own names for ``hardware_type`` and ``image_type``, ``options`` is what
    else these say about it to the provider; ``services`` is sorted; ``price`` is per hour, None when the catalog does
    not say; ``zone`` is empty unless services are spread.
    """

    number: int
    host_name: str = ""
    hardware_type: str = ""
    image_type: str = ""
    flavor: str = ""
    image: str = ""
    services: tuple[str, ...] = ()
    ssh_user: str = ""
    zone: str = ""
    price: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


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
