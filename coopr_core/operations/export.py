"""What to ask for to get a cluster like this one: its request, brought up to what has been made of it since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coopr_core.model.records import ClusterRecord
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.store import Store


def request_of(store: Store, cluster: ClusterRecord) -> dict[str, Any]:
    """Return the request as JSON values: the fields of a ``ClusterRequest``, and ``catalog`` if folders were added.

    Size, services and config are those of today; config is whole and takes the place of the template's, macros as they
    were written, so no password is in it. What the user left to the solver (hardware, say) is left to it again.
    """
    layout = store.layout(cluster.id)
    named = {str(path) for path in load_settings().catalog}
    catalog = [path for path in cluster.facts.catalog if path not in named]
    return {
        **store.request(cluster.id).model_dump(mode="json", exclude_defaults=True),
        "name": cluster.name,
        "template": cluster.template,
        "size": len(layout.nodes),
        "services": sorted({service for node in layout.nodes for service in node.services}),
        "provider": cluster.provider,
        "config": dict(layout.config),
        "config_mode": "replace",
        **({"credentials": cluster.credentials} if cluster.credentials else {}),
        **({"ssh_key": cluster.facts.ssh_key} if cluster.facts.ssh_key else {}),
        **({"catalog": catalog} if catalog else {}),
    }
