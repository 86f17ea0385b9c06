"""Where a cluster's machines come from, with the settings it was made with and those of its block as they are now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from coopr_core.errors import NotFound
from coopr_core.model.facts import ProviderFacts
from coopr_core.providers.cloud import Cloud, Clouds
from coopr_core.providers.registry import load_cloud, settings_type
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord
    from coopr_core.vault import Vault


def cluster_clouds(cluster: ClusterRecord, vault: Vault | None, hide: Callable[[str], None] | None = None) -> Clouds:
    """Return the cloud of the cluster's provider, and those of the others that it has or had machines from.

    Without a vault no block can be asked for; ``hide`` is told every secret among the settings. When a cloud is first
    needed ``NotFound`` is raised if its block is gone, ``InvalidInput`` for settings that cannot be used.
    """
    others = [known.name for known in cluster.facts.providers]
    return Clouds(cluster.provider, lambda name: make_cloud(provider_facts(cluster, name), vault, hide), others)


def provider_facts(cluster: ClusterRecord, name: str) -> ProviderFacts:
    """Return the provider as it was when the cluster was made; as it is today for one that was not known then."""
    known = cluster.facts.provider(name)
    if known is not None and known.type:
        return known
    from coopr_core.catalog import Catalog

    entity = Catalog.load(load_settings().catalog_with(*cluster.facts.catalog)).provider(name)
    return ProviderFacts.of(entity, known.credentials if known else "")


def make_cloud(facts: ProviderFacts, vault: Vault | None, hide: Callable[[str], None] | None = None) -> Cloud:
    """Return the cloud of a provider: its settings overlaid by those of its block, if it has one.

    ``hide`` is told every secret among them before anything else is.
    """
    settings = dict(facts.settings)
    if facts.credentials:
        if vault is None:
            raise NotFound(f"the settings of provider {facts.name} are in a block, and no Prefect server runs")
        whole = "/" in facts.credentials  # as recorded; a catalog may leave the type out
        settings.update(
            vault.settings(facts.credentials if whole else vault.credentials(facts.credentials, facts.type))
        )
    if hide is not None:
        secret = {field.name for field in settings_type(facts.type).fields() if field.sensitive}
        for value in (settings[name] for name in secret & settings.keys() if settings[name]):
            hide(str(value))
    return load_cloud(facts.type, settings)
