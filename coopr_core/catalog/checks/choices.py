"""Templates whose parts contradict each other: defaults, compatibility lists, constraints and groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.catalog.places import Finding

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog


def in_choices(catalog: Catalog) -> Iterator[Finding]:
    """Everything a merged template says in one place and takes back in another."""
    for template in catalog.templates.values():
        yield from _defaults(template)
        yield from _default_services(template, catalog)
        yield from _constraints(template, catalog)
        yield from _groups(template, catalog)


def _defaults(template: ClusterTemplate) -> Iterator[Finding]:
    compatible = template.compatibility
    for noun, key, allowed in (
        ("hardware type", "hardwaretype", compatible.hardwaretypes),
        ("image type", "imagetype", compatible.imagetypes),
    ):
        name = getattr(template.defaults, key)
        if name and allowed and name not in allowed:
            message = f"the default {noun} {name} is not among compatibility.{key}s: it can never be used"
            yield Finding(template, ("defaults", key), message)
    for name in template.defaults.services:
        if compatible.services and name not in compatible.services:
            message = f"the default service {name} is not among compatibility.services: it can never be used"
            yield Finding(template, ("defaults", "services", name), message)


def _default_services(template: ClusterTemplate, catalog: Catalog) -> Iterator[Finding]:
    chosen = {name: catalog.services[name] for name in template.defaults.services if name in catalog.services}
    present = {name for service in chosen.values() for name in (service.name, *service.dependencies.provides)}
    for name, service in chosen.items():
        missing = {
            needed: phase
            for phase in ("runtime", "install")
            for needed in getattr(service.dependencies, phase).requires
            if needed not in present
        }
        for needed, phase in missing.items():
            message = f"the default service {name} requires {needed} ({phase}), which no default service is or provides"
            yield Finding(template, ("defaults", "services", name), message)
    for one, other in permutations(chosen.values(), 2):
        clash = {other.name, *other.dependencies.provides} & set(one.dependencies.conflicts)
        if clash:
            message = f"the default service {one.name} conflicts with the default service {other.name}"
            yield Finding(template, ("defaults", "services", one.name), message)


def _constraints(template: ClusterTemplate, catalog: Catalog) -> Iterator[Finding]:
    compatible = template.compatibility
    for name, limit in template.constraints.services.items():
        at = ("constraints", "services", name)
        if compatible.services and name in catalog.services and name not in compatible.services:
            message = f"constrains {name}, which cannot be chosen: it is not among compatibility.services"
            yield Finding(template, at, message)
        for key, own, allowed in (
            ("hardwaretypes", limit.hardwaretypes, compatible.hardwaretypes),
            ("imagetypes", limit.imagetypes, compatible.imagetypes),
        ):
            if own and allowed and not set(own) & set(allowed):
                message = f"{name} can be on no node: none of its {key} is among compatibility.{key}"
                yield Finding(template, (*at, key), message)


def _groups(template: ClusterTemplate, catalog: Catalog) -> Iterator[Finding]:
    layout, choosable = template.constraints.layout, template.compatibility.services
    for kind, groups in (("mustcoexist", layout.mustcoexist), ("cantcoexist", layout.cantcoexist)):
        for group in groups:
            for name in dict.fromkeys(group):
                if choosable and name in catalog.services and name not in choosable:
                    message = f"names {name}, which cannot be chosen: it is not among compatibility.services"
                    yield Finding(template, ("constraints", "layout", kind, group, name), message)
    for group in layout.cantcoexist:
        members = set(group)
        at = ("constraints", "layout", "cantcoexist", group)
        if len(members) == 1:
            yield Finding(template, at, f"{group[0]} can be on no node: it must not share one with itself")
        elif members and members <= _together(group[0], layout.mustcoexist):
            listed = " and ".join(sorted(members))
            yield Finding(template, at, f"{listed} must share no node, yet mustcoexist says that they share every one")


def _together(name: str, groups: tuple[tuple[str, ...], ...]) -> set[str]:
    """All services that share every node with a service, chained groups too."""
    together, grown = {name}, True
    while grown:
        grown = False
        for group in groups:
            if together & set(group) and not set(group) <= together:
                together |= set(group)
                grown = True
    return together
