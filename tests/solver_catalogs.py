"""Small catalogs for solver tests, written inline, and the catalogs of the reference vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared_reference import reference

from coopr_core.catalog.entities import ClusterTemplate, HardwareType, ImageType, Provider, Service
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.request import ClusterRequest


@dataclass
class Entities:
    """A catalog as the solver sees it: entities by name, not checked for cycles."""

    templates: dict[str, ClusterTemplate] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    hardware_types: dict[str, HardwareType] = field(default_factory=dict)
    image_types: dict[str, ImageType] = field(default_factory=dict)


def small_catalog(
    constraints: Mapping[str, Any],
    services: Iterable[str | Mapping[str, Any]],
    hardware: Iterable[str] | Mapping[str, str] = ("hw",),
    images: Iterable[str] = ("im",),
    zones: object = None,
    **template: Any,
) -> Entities:
    """One template ``t`` with one provider ``p``; ``hardware`` may map names to costs."""
    described = [{"name": service} if isinstance(service, str) else dict(service) for service in services]
    costs = dict(hardware) if isinstance(hardware, Mapping) else dict.fromkeys(hardware, "")
    defaults = {"provider": "p", "services": [s["name"] for s in described], **template.pop("defaults", {})}
    entity = {"name": "t", "defaults": defaults, "constraints": constraints, **template}
    provisioner = {} if zones is None else {"zones": zones}
    return Entities(
        templates={"t": ClusterTemplate.model_validate(entity)},
        services={s["name"]: Service.model_validate(s) for s in described},
        providers={"p": Provider(name="p", providertype="x", provisioner=provisioner)},
        hardware_types={
            name: HardwareType.model_validate(
                {"name": name, "providermap": {"p": {"flavor": f"f-{name}", "cost": cost}}}
            )
            for name, cost in costs.items()
        },
        image_types={
            name: ImageType.model_validate({"name": name, "providermap": {"p": {"image": f"i-{name}"}}})
            for name in images
        },
    )


def small_request(size: int | None = None, **more: Any) -> ClusterRequest:
    """A request for template ``t``."""
    return ClusterRequest(name="c", template="t", size=size, **more)


def vector_catalog(given: Mapping[str, Any]) -> Entities:
    """The catalog of a vector with its whole input inline."""
    provider = given.get("provider") or given["template"]["defaults"].get("provider", "p")
    return Entities(
        templates={given["template"]["name"]: ClusterTemplate.model_validate(given["template"])},
        services={
            s["name"]: Service.model_validate(
                {
                    "name": s["name"],
                    "dependencies": s["dependencies"],
                    "provisioner": {"actions": {action: {} for action in s["actions"]}},
                }
            )
            for s in given["services"]
        },
        providers={provider: Provider(name=provider, providertype="x")},
        hardware_types={
            name: HardwareType.model_validate({"name": name, "providermap": {provider: {"flavor": flavor}}})
            for name, flavor in given.get("hardwaretypes", {}).items()
        },
        image_types={
            name: ImageType.model_validate({"name": name, "providermap": {provider: image}})
            for name, image in given.get("imagetypes", {}).items()
        },
    )


def public_catalog() -> Entities:
    """The original's public catalog."""

    def read(folder: str, kind: Any) -> dict[str, Any]:
        files = sorted(reference("coopr-templates", folder).glob("*.json"))
        return {entity.name: entity for entity in (kind.model_validate(json.loads(f.read_text())) for f in files)}

    return Entities(
        templates=read("clustertemplates", ClusterTemplate),
        services=read("services", Service),
        providers=read("providers", Provider),
        hardware_types=read("hardwaretypes", HardwareType),
        image_types=read("imagetypes", ImageType),
    )


def rows(layout: ClusterLayout) -> list[tuple[str, str, tuple[str, ...]]]:
    """The nodes of a layout in order, as hardware type, image type and services."""
    return [(node.hardware_type, node.image_type, node.services) for node in layout.nodes]
