"""From counted batches to a cluster layout: numbered nodes with what the provider calls their types, prices, names.

Cost: linear in the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from coopr_core.errors import InvalidInput
from coopr_core.model.config import requested_config
from coopr_core.model.ids import cluster_id
from coopr_core.model.layout import FIRST_NODE_NUMBER, ClusterLayout, Node
from coopr_core.model.names import dns_name
from coopr_core.model.placement import Alternative, Placement
from coopr_core.model.request import ClusterRequest
from coopr_core.solver.choice import Choice
from coopr_core.solver.constraints import Constraint, Kind, constraints_of
from coopr_core.solver.search.batches import Batch
from coopr_core.solver.search.cost import price_per_hour
from coopr_core.solver.search.problem import LayoutProblem
from coopr_core.solver.unsatisfiable import Clash, Unsatisfiable
from coopr_core.solver.zones import spread_nodes, zones_of

MOST_ALTERNATIVES = 8
"""How many other places are tried for a machine."""

DEFAULT_SSH_USER = "root"
"""Who may log in when the image type does not say."""

_PREVIEW = cluster_id(1)


class Uneven(Unsatisfiable):
    """The nodes of a layout cannot be spread evenly over the zones."""


def nodes_of(
    choice: Choice,
    problem: LayoutProblem,
    batches: Sequence[Batch],
    request: ClusterRequest,
    present: Sequence[Node] = (),
) -> list[Node]:
    """Return new nodes, batch by batch, numbered after those ``present`` and spread over the zones."""
    number = max((node.number for node in present), default=FIRST_NODE_NUMBER - 1)
    suffix = request.dns_suffix or choice.template.defaults.dnsSuffix
    spread = _spread(choice)
    elsewhere = _Elsewhere(choice)
    nodes: list[Node] = []
    for batch in batches:
        like = offered(
            choice,
            Node(
                number=0,
                placement=Placement(
                    hardware_type=problem.hardware[batch.hardware], image_type=problem.images[batch.image]
                ),
                services=problem.services(batch.blocks),
            ),
        )
        others = () if spread else elsewhere.of(like)
        for _ in range(batch.count):
            number += 1
            name = dns_name(request.name, _PREVIEW, number, suffix)
            nodes.append(Node(number, name, like.placement, like.services, like.ssh_user, like.price, others))
    return with_alternatives(choice, _zoned(choice, nodes, present, spread)) if spread else nodes


def offered(choice: Choice, node: Node) -> Node:
    """Return ``node`` with what the provider calls its types today, who may log in, its options and its price.

    Raises ``InvalidInput`` when its hardware and its image type give one option two values.
    """
    hardware, image = choice.hardware.get(node.hardware_type), choice.images.get(node.image_type)
    price = price_per_hour(hardware) if hardware else None
    placement = replace(
        node.placement,
        provider=choice.provider.name,
        flavor=hardware.flavor if hardware else node.flavor,
        image=image.image if image else node.image,
        options=_options(choice, node),
    )
    return replace(
        node,
        placement=placement,
        ssh_user=(image.sshuser if image else node.ssh_user) or DEFAULT_SSH_USER,
        price=None if price is None else float(price),
    )


def with_alternatives(choice: Choice, nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes, each with where its machine may be made when there is no room; like nodes share theirs."""
    elsewhere = _Elsewhere(choice)
    return [replace(node, alternatives=elsewhere.of(node)) for node in nodes]


class _Elsewhere:
    """The other places that nodes may be in, worked out once for all nodes alike."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._zones = zones_of(choice.provider)
        self._limits = [c for c in constraints_of(choice) if c.kind in (Kind.HARDWARE, Kind.ON_HARDWARE)]
        self._known: dict[tuple[object, ...], tuple[Alternative, ...]] = {}

    def of(self, node: Node) -> tuple[Alternative, ...]:
        """Return them for one node."""
        kind = (node.services, node.hardware_type, node.image_type, node.zone)
        if kind not in self._known:
            self._known[kind] = _alternatives(self._choice, node, self._zones, self._limits)
        return self._known[kind]


def _alternatives(
    choice: Choice, node: Node, zones: Sequence[str], limits: Sequence[Constraint]
) -> tuple[Alternative, ...]:
    """Return the other places the node may be in: its own hardware type in other zones first, then by price.

    A service that is spread keeps the node in its zone, which is what makes the spread even.
    """
    own = choice.template.constraints.services
    is_spread = any(name in own and own[name].spread for name in node.services)
    places = (node.zone,) if is_spread else (node.zone, *(zone for zone in zones if zone != node.zone))
    applying = [set(limit.values) for limit in limits if not limit.services or limit.services[0] in node.services]
    found = []
    for name in choice.hardware:
        if name != node.hardware_type and any(name not in values for values in applying):
            continue
        try:
            like = offered(choice, node.placed(hardware_type=name))
        except InvalidInput:  # its image type says otherwise, so it cannot be had with that
            continue
        for order, zone in enumerate(places):
            if (name, zone) != (node.hardware_type, node.zone):
                price = float("inf") if like.price is None else like.price
                found.append(((name != node.hardware_type, price, name, order), like.placed(zone=zone)))
    found.sort(key=lambda entry: entry[0])
    return tuple(Alternative(like.placement, like.price) for _, like in found[:MOST_ALTERNATIVES])


def _options(choice: Choice, node: Node) -> Mapping[str, Any]:
    """Return what the types of a node say about it to the provider; as they were where it offers neither any more."""
    hardware, image = choice.hardware.get(node.hardware_type), choice.images.get(node.image_type)
    if hardware is None and image is None:
        return node.options
    own, others = hardware.options if hardware else {}, image.options if image else {}
    for name in sorted(own.keys() & others.keys()):
        if own[name] != others[name]:
            raise InvalidInput(
                f'hardware type {node.hardware_type} and image type {node.image_type} both say "{name}" for provider '
                f"{choice.provider.name}, and not the same",
                hint="let one of them say it",
            )
    return {**own, **others}


def layout_of(choice: Choice, request: ClusterRequest, nodes: Sequence[Node]) -> ClusterLayout:
    """Return the layout of these nodes with services, config and links (the template's first, then the services')."""
    links = [*choice.template.links, *(link for service in choice.services.values() for link in service.links)]
    return ClusterLayout(
        nodes=tuple(nodes),
        services=choice.services,
        template=choice.template.name,
        provider=choice.provider.name,
        config=requested_config(choice.template.defaults.config, request.config, request.config_mode),
        links=tuple(links),
    )


def _spread(choice: Choice) -> list[str]:
    """Return the services whose nodes are dealt to zones; none where there is but one."""
    own = choice.template.constraints.services
    spread = [name for name in choice.services if name in own and own[name].spread]
    return spread if len(zones_of(choice.provider)) > 1 else []


def _zoned(choice: Choice, nodes: list[Node], present: Sequence[Node], spread: Sequence[str]) -> list[Node]:
    zones = zones_of(choice.provider)
    dealt = spread_nodes(nodes, spread, zones, present)
    if dealt is None:
        raise Uneven(
            f"the layout of template {choice.template.name} on {len(nodes)} nodes cannot be spread evenly "
            f"over the zones {', '.join(zones)}",
            clash=[Clash(f"template {choice.template.name}", f"services.{name}.spread", True) for name in spread],
            reason="these services share nodes in such a way that no choice of zones is even for all of them",
        )
    return dealt
