"""Names that lead nowhere: services, types and providers that others refer to and the catalog does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from coopr_core.catalog.checks.cycles import names_provided
from coopr_core.catalog.entities import ACTIONS, ClusterTemplate, Service
from coopr_core.catalog.places import Finding, Step
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog


def in_services(catalog: Catalog) -> Iterator[Finding]:
    """Dependencies and conflicts on services nobody is or provides, and actions that are never run."""
    provided = names_provided(catalog.services)
    for service in catalog.services.values():
        yield from _dependencies(service, provided)
        for action in service.actions:
            if action not in ACTIONS:
                meant = _meant(action, ACTIONS) or f"; actions are {', '.join(ACTIONS)}"
                yield Finding(service, ("provisioner", "actions", action), f'"{action}" is never run{meant}')


def _dependencies(service: Service, provided: Collection[str]) -> Iterator[Finding]:
    for phase in ("install", "runtime"):
        needs = getattr(service.dependencies, phase)
        for relation in ("requires", "uses"):
            for name in getattr(needs, relation):
                if name not in provided:
                    then = ": the service can be on no cluster" if relation == "requires" else ""
                    message = f'no service is or provides "{name}"{_meant(name, provided)}{then}'
                    yield Finding(service, ("dependencies", phase, relation, name), message)
    for name in service.dependencies.conflicts:
        if name == service.name:
            yield Finding(service, ("dependencies", "conflicts", name), "the service conflicts with itself")
        elif name not in provided:
            message = f'no service is or provides "{name}"{_meant(name, provided)}'
            yield Finding(service, ("dependencies", "conflicts", name), message)


def in_templates(catalog: Catalog, written: Iterable[ClusterTemplate]) -> Iterator[Finding]:
    """Services, types and providers named by templates and partials as they are written."""
    services, hardware, images = catalog.services, catalog.hardware_types, catalog.image_types
    for template in written:
        defaults, compatible, limits = template.defaults, template.compatibility, template.constraints
        named: list[tuple[str, Collection[str], tuple[Step, ...], Iterable[str]]] = [
            ("service", services, ("defaults", "services"), defaults.services),
            ("service", services, ("compatibility", "services"), compatible.services),
            ("hardware type", hardware, ("compatibility", "hardwaretypes"), compatible.hardwaretypes),
            ("image type", images, ("compatibility", "imagetypes"), compatible.imagetypes),
            ("service", services, ("constraints", "services"), limits.services),
        ]
        for kind in ("mustcoexist", "cantcoexist"):
            for group in getattr(limits.layout, kind):
                named.append(("service", services, ("constraints", "layout", kind, group), group))
        for name, limit in limits.services.items():
            at = ("constraints", "services", name)
            named.append(("hardware type", hardware, (*at, "hardwaretypes"), limit.hardwaretypes))
            named.append(("image type", images, (*at, "imagetypes"), limit.imagetypes))
        for noun, known, path, names in named:
            for name in names:
                if name not in known:
                    yield Finding(template, (*path, name), f'no {noun} "{name}"{_meant(name, known)}')
        for noun, known, key in (
            ("provider", catalog.providers, "provider"),
            ("hardware type", hardware, "hardwaretype"),
            ("image type", images, "imagetype"),
        ):
            name = getattr(defaults, key)
            if name and name not in known:
                yield Finding(template, ("defaults", key), f'no {noun} "{name}"{_meant(name, known)}')


def _meant(name: str, known: Collection[str]) -> str:
    meant = did_you_mean(name, known)
    return f": {meant}" if meant else ""
