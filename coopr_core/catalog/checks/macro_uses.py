"""Macros in templates that cannot be resolved: never, or not with the services a cluster has by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.catalog.places import Finding, Step
from coopr_core.macros.checks import Use, unresolvable, uses

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog


def in_macros(catalog: Catalog) -> Iterator[Finding]:
    """Yield the macros of each merged template's default config and links, and of each service's links and actions."""
    for template in catalog.templates.values():
        choosable = set(template.compatibility.services or catalog.services) & catalog.services.keys()
        for use in uses(template.defaults.config, ("defaults", "config")):
            yield from _judged(template, use, use.path, choosable, has_self=True)
        for link in template.links:
            for use in uses(link.url):
                yield from _judged(template, use, ("links", link.url, "url"), choosable, has_self=False)
        yield from _in_actions(catalog, template)
    for service in catalog.services.values():
        for link in service.links:
            for use in uses(link.url):
                why = unresolvable(use, catalog.services.keys(), has_self=False)
                if why:
                    yield Finding(service, ("links", link.url, "url"), why)
        for name, action in service.actions.items():
            for use in uses(action.fields, ("provisioner", "actions", name, "fields"), loose=True):
                if why := unresolvable(use, catalog.services.keys()):
                    yield Finding(service, use.path, why)


def _in_actions(catalog: Catalog, template: ClusterTemplate) -> Iterator[Finding]:
    """Yield the macros in actions of the default services that have no value on a cluster with default config."""
    names = template.defaults.services
    for name in names:
        service = catalog.services.get(name)
        for action, described in service.actions.items() if service else ():
            for use in uses(described.fields, loose=True):
                why = unresolvable(use, names, config=template.defaults.config)
                if why and not unresolvable(use, catalog.services.keys()):
                    yield Finding(template, ("defaults", "services", name), f"{action} of {name}: {why}")


def _judged(
    template: ClusterTemplate, use: Use, path: tuple[Step, ...], choosable: set[str], *, has_self: bool
) -> Iterator[Finding]:
    why = unresolvable(use, choosable, has_self=has_self, config=template.defaults.config)
    if why:
        yield Finding(template, path, why)
    elif use.needs and use.needs not in template.defaults.services:
        message = f"macro {use.source} cannot be resolved with the default services: {use.needs} is not among them"
        yield Finding(template, path, message)
