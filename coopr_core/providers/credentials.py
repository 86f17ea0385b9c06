"""The provider plug-in of a cluster, with the settings it was made with and those of its block as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coopr_core.errors import NotFound
from coopr_core.model.facts import ProviderFacts
from coopr_core.providers.contract import USABLE_WITHIN, KnowsItsPace
from coopr_core.providers.registry import load_provider
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord
    from coopr_core.providers.contract import Provider
    from coopr_core.vault import Vault


def cluster_provider(cluster: ClusterRecord, vault: Vault | None, name: str = "") -> Provider:
    """Return the plug-in of the cluster's provider, or of the one called ``name`` that it has machines from too.

    Without a vault no block can be asked for. Raises ``NotFound`` when its block is gone, ``InvalidInput`` for settings
    that cannot be used.
    """
    return make_provider(provider_facts(cluster, name or cluster.provider), vault)


def provider_facts(cluster: ClusterRecord, name: str) -> ProviderFacts:
    """Return the provider as it was when the cluster was made; as it is today for one that was not known then."""
    known = cluster.facts.provider(name)
    if known is not None and known.type:
        return known
    from coopr_core.catalog import Catalog

    entity = Catalog.load(load_settings().catalog_with(*cluster.facts.catalog)).provider(name)
    return ProviderFacts.of(entity, known.credentials if known else "")


def make_provider(facts: ProviderFacts, vault: Vault | None) -> Provider:
    """Return the plug-in of a provider: its settings overlaid by those of its block, if it has one."""
    settings = dict(facts.settings)
    if facts.credentials:
        if vault is None:
            raise NotFound(f"the settings of provider {facts.name} are in a block, and no Prefect server runs")
        settings.update(vault.settings(facts.credentials))
    return load_provider(facts.type, settings)


def usable_within(provider: Provider) -> float:
    """Return how many seconds a machine may take to become usable: the provider's own word, if it has one."""
    return provider.usable_within if isinstance(provider, KnowsItsPace) else USABLE_WITHIN
