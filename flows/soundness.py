"""What the installed plug-ins say against a catalog: found before anything is made, each with file and line.

A plug-in that is not installed says nothing: what is meant for it is kept as it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import HardwareType, ImageType
from coopr_core.errors import InvalidInput, Problem
from coopr_core.providers import node_options_type, provider_types
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog
    from coopr_core.catalog.entities import Provider
    from coopr_core.cluster.layout import Node


def option_problems(
    catalog: Catalog, types: Iterable[HardwareType | ImageType], providers: Iterable[Provider]
) -> list[Problem]:
    """What hardware and image types say to providers that these do not know, or not so."""
    installed = [provider for provider in providers if provider.providertype in provider_types()]
    found = []
    for entity in types:
        for provider in installed:
            offer = entity.providermap.get(provider.name)
            if offer is None or not offer.options:
                continue
            known = node_options_type(provider.providertype)
            for path, flaw in known.flaws_of_given(offer.options):
                meant = "" if path in known.model_fields else did_you_mean(path, type(offer).model_fields)
                message = f"unknown field: {meant}" if meant else f"provider plug-in {provider.providertype}: {flaw}"
                found.append(catalog.located(entity, Problem(message, path=f"providermap.{provider.name}.{path}")))
    return found


def unsound(catalog: Catalog) -> list[Problem]:
    """All that the installed plug-ins say against a catalog, as errors."""
    types: list[HardwareType | ImageType] = [*catalog.hardware_types.values(), *catalog.image_types.values()]
    return option_problems(catalog, types, catalog.providers.values())


def types_of(catalog: Catalog, nodes: Iterable[Node]) -> list[HardwareType | ImageType]:
    """The hardware and image types of nodes, those that today's catalog has."""
    nodes = list(nodes)
    hardware = {node.hardware_type for node in nodes} & catalog.hardware_types.keys()
    images = {node.image_type for node in nodes} & catalog.image_types.keys()
    return [
        *(catalog.hardware_types[name] for name in sorted(hardware)),
        *(catalog.image_types[name] for name in sorted(images)),
    ]


def refuse_unknown_options(catalog: Catalog, nodes: Collection[Node], provider: str) -> None:
    """Raise ``InvalidInput`` when what the types of nodes to be made say is nothing their provider knows."""
    if provider not in catalog.providers:
        return
    problems = option_problems(catalog, types_of(catalog, nodes), [catalog.provider(provider)])
    if problems:
        raise InvalidInput(
            "no machine could be made as the catalog describes it",
            hint="correct the hardware and image types at the places named; nothing was changed",
            problems=problems,
        )
