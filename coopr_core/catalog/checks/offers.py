"""Hardware and images no provider offers, and templates whose default provider does not have what they need."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import ClusterTemplate, HardwareType, ImageType
from coopr_core.catalog.places import Finding, Step
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog

_SECRET = re.compile(r"password|passwd|secret|token|private_key|(?:^|_)api_?key$", re.IGNORECASE)
_REFERENCE = re.compile(r"_(?:resource|file|path|name|id)$", re.IGNORECASE)


def in_offers(catalog: Catalog) -> Iterator[Finding]:
    """Types without an offer, offers of unknown providers, defaults the default provider does not offer."""
    for hardware in catalog.hardware_types.values():
        offers = {name: offer.flavor for name, offer in hardware.providermap.items()}
        yield from _offers(hardware, offers, "flavor", catalog.providers)
    for image in catalog.image_types.values():
        offers = {name: offer.image for name, offer in image.providermap.items()}
        yield from _offers(image, offers, "image", catalog.providers)
    for template in catalog.templates.values():
        if template.defaults.provider in catalog.providers:
            yield from _template(template, catalog)


def in_providers(catalog: Catalog) -> Iterator[Finding]:
    """Secrets that stand in a provider's file."""
    for provider in catalog.providers.values():
        for key, value in provider.provisioner.items():
            if value and isinstance(value, str) and _SECRET.search(key) and not _REFERENCE.search(key):
                message = "a secret does not belong into a catalog's file: keep it in the provider's block"
                yield Finding(provider, ("provisioner", key), message)


def _offers(
    entity: HardwareType | ImageType, offers: Mapping[str, str], key: str, providers: Collection[str]
) -> Iterator[Finding]:
    if not offers:
        yield Finding(entity, (), "no provider offers it: it has no providermap")
    for provider, offer in offers.items():
        if provider not in providers:
            meant = did_you_mean(provider, providers)
            message = f'no provider "{provider}"' + (f": {meant}" if meant else "")
            yield Finding(entity, ("providermap", provider), message)
        if not offer:
            yield Finding(entity, ("providermap", provider), f"the offer of {provider} has no {key}")


def _template(template: ClusterTemplate, catalog: Catalog) -> Iterator[Finding]:
    provider = template.defaults.provider
    compatible = template.compatibility
    hardware = {name for name, t in catalog.hardware_types.items() if provider in t.providermap}
    images = {name for name, t in catalog.image_types.items() if provider in t.providermap}
    for noun, key, allowed, offered, known in (
        ("hardware type", "hardwaretype", compatible.hardwaretypes, hardware, catalog.hardware_types),
        ("image type", "imagetype", compatible.imagetypes, images, catalog.image_types),
    ):
        default = getattr(template.defaults, key)
        if default and default in known and default not in offered:
            message = f"the default {noun} {default} is not offered by the default provider {provider}"
            yield Finding(template, ("defaults", key), message)
        elif not default and not (offered & set(allowed) if allowed else offered):
            message = f"the default provider {provider} offers no {noun} the template is compatible with"
            yield Finding(template, ("defaults", "provider"), message)
        for service, limit in template.constraints.services.items():
            own = set(getattr(limit, f"{key}s"))
            if own & known.keys() and not own & offered:
                at: tuple[Step, ...] = ("constraints", "services", service, f"{key}s")
                yield Finding(template, at, f"the default provider {provider} offers no {noun} {service} may be on")
