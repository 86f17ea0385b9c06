"""The pages of a running cluster: the links of its template and services, with the nodes' addresses filled in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from coopr_core.errors import InvalidInput
from coopr_core.model.records import ClusterRecord, NodeRecord

if TYPE_CHECKING:
    from coopr_core.macros import MacroNode
    from coopr_core.store import Store


def macro_nodes(nodes: Iterable[NodeRecord]) -> list[MacroNode]:
    """Return the nodes as macros see them."""
    from coopr_core.macros import MacroNode

    return [
        MacroNode(
            number=node.number,
            host_name=node.host_name,
            services=node.services,
            addresses=node.addresses,
        )
        for node in nodes
    ]


def cluster_links(store: Store, cluster: ClusterRecord) -> list[dict[str, str]]:
    """Return the links of a cluster, label and URL, but for those whose nodes have no address (yet, or any more)."""
    from coopr_core.macros import MacroContext, expand

    layout = store.layout(cluster.id)
    nodes = store.nodes(cluster.id)
    context = MacroContext(
        owner=cluster.owner, nodes=macro_nodes(nodes), self_number=None, secret=None, config=layout.config
    )
    found = []
    for link in layout.links:
        try:
            url = str(expand(link.url, context, path="links"))
        except InvalidInput:
            continue
        found.append({"label": link.label or url, "url": url})
    return found
