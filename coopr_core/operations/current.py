"""A cluster as it is now, as its changes start from it: layout, request, template, nodes and the catalog it came from.

Promise: what a change does not touch stays as it was when the cluster was made, whatever the catalog says today; the
catalog read is the one of the cluster's creation and changes, with the caller's folders over it. Never imports Prefect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import ClusterTemplate, HardwareType, ImageType, Provider, Service
from coopr_core.macros import MacroNode
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.names import dns_name
from coopr_core.model.operations import Operation, check_allowed
from coopr_core.model.records import ClusterRecord, NewestJob, NodeRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog
    from coopr_core.store import Store


@dataclass(frozen=True, slots=True)
class Present:
    """A cluster that a change starts from; everything was read at one time."""

    cluster: ClusterRecord
    layout: ClusterLayout
    request: ClusterRequest
    template: ClusterTemplate
    nodes: tuple[NodeRecord, ...]
    newest: NewestJob
    catalog_paths: tuple[str, ...]

    def members(self, layout: ClusterLayout) -> list[MacroNode]:
        """Return the nodes of ``layout`` as macros see them; an address that is not known yet is shown as such."""
        known = {node.number: node.addresses for node in self.nodes}
        return [
            MacroNode(
                number=node.number,
                host_name=node.host_name,
                services=node.services,
                addresses=known.get(node.number) or _unknown(node.number),
            )
            for node in layout.nodes
        ]

    def catalog(self, more: Sequence[str] = ()) -> Catalog:
        """Read today's catalog for this cluster. Raises ``InvalidInput`` with all its problems."""
        from coopr_core.automators import automator_resources
        from coopr_core.catalog import Catalog

        return Catalog.load(load_settings().catalog_with(*self.catalog_paths, *more), resources_of=automator_resources)


@dataclass(frozen=True, slots=True)
class OwnEntities:
    """A catalog as a cluster sees it: its own template and its own services as they are on it, the rest of today."""

    catalog: Catalog
    template: ClusterTemplate
    own: Mapping[str, Service]

    @property
    def templates(self) -> Mapping[str, ClusterTemplate]:
        """The cluster's template."""
        return {self.template.name: self.template}

    @property
    def services(self) -> Mapping[str, Service]:
        """Today's services under those of the cluster."""
        return {**self.catalog.services, **self.own}

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Today's providers."""
        return self.catalog.providers

    @property
    def hardware_types(self) -> Mapping[str, HardwareType]:
        """Today's hardware types."""
        return self.catalog.hardware_types

    @property
    def image_types(self) -> Mapping[str, ImageType]:
        """Today's image types."""
        return self.catalog.image_types


def present(store: Store, reference: str, operation: Operation) -> Present:
    """Read the cluster called ``reference``, which ``operation`` is to change.

    Raises ``NotFound``, ``Busy`` while a job holds it, ``Refused`` when its state does not allow the operation.
    """
    cluster = store.cluster(reference, terminated=True)
    store.end_abandoned_job(cluster.id)
    newest = store.newest_job(cluster.id)  # before what it made: a job that comes in between is then noticed
    cluster = store.cluster_with_id(cluster.id)
    check_allowed(cluster.state, operation, cluster=cluster.name)
    return Present(
        cluster=cluster,
        layout=store.layout(cluster.id),
        request=store.request(cluster.id),
        template=store.template(cluster.id),
        nodes=tuple(store.nodes(cluster.id)),
        newest=newest,
        catalog_paths=tuple(cluster.facts.catalog),
    )


def with_nodes(now: Present, solved: ClusterLayout) -> ClusterLayout:
    """Return the cluster's own layout with the nodes of ``solved``, new ones under their final host names."""
    known = {node.number: node for node in now.layout.nodes}
    suffix = now.request.dns_suffix or now.template.defaults.dnsSuffix or None
    nodes = tuple(
        node
        if node.number in known
        else replace(node, host_name=dns_name(now.request.name, now.cluster.id, node.number, suffix))
        for node in solved.nodes
    )
    return replace(now.layout, nodes=nodes)


def _unknown(number: int) -> dict[str, str]:
    return dict.fromkeys(("access_v4", "bind_v4"), f"(address of node {number})")
