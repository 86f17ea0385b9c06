"""What a request chooses: provider, services, hardware and image types, size (section 1 of the original's semantics).

Every choice exists, is compatible with the template and is offered by the provider, every dependency is on the cluster
and nothing conflicts; otherwise the request is refused here, before any layout is searched, naming what was asked for
and what there is. Cost: linear in the catalog and in the dependencies of the chosen services.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from coopr_core.catalog.entities import (
    ClusterTemplate,
    HardwareOffer,
    HardwareType,
    ImageOffer,
    ImageType,
    Provider,
    Service,
)
from coopr_core.errors import InvalidInput, NotFound, Problem
from coopr_core.model.request import ClusterRequest
from coopr_core.suggestions import among
from coopr_core.text_form import spelt

T = TypeVar("T")


class Entities(Protocol):
    """What the solver needs of a catalog: its merged entities by name."""

    @property
    def templates(self) -> Mapping[str, ClusterTemplate]:
        """Cluster templates."""

    @property
    def services(self) -> Mapping[str, Service]:
        """Services."""

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Providers."""

    @property
    def hardware_types(self) -> Mapping[str, HardwareType]:
        """Hardware types."""

    @property
    def image_types(self) -> Mapping[str, ImageType]:
        """Image types."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A checked request: everything a layout is made of.

    ``hardware`` and ``images`` are all the provider's offers by type name; which of them a node may have is said by
    ``hardware_wanted`` (one name, or "" for any compatible one), ``image_wanted`` and the template.
    ``default_services`` tells whether the services are the template's own; without ``size_asked`` any size the template
    allows will do, and ``size`` is the least of them.
    """

    template: ClusterTemplate
    provider: Provider
    size: int
    services: Mapping[str, Service]
    hardware: Mapping[str, HardwareOffer]
    images: Mapping[str, ImageOffer]
    hardware_wanted: str
    image_wanted: str
    hardware_asked: bool
    image_asked: bool
    default_services: bool
    size_asked: bool = True


def choose(catalog: Entities, request: ClusterRequest, present: Iterable[str] = (), size: int | None = None) -> Choice:
    """Check ``request`` against the catalog; ``present`` and ``size`` are the services and nodes the cluster has.

    Raises:
        NotFound: a template, provider, service, hardware or image type that does not exist.
        InvalidInput: a size out of bounds, something incompatible or not offered, a dependency missing, a conflict.
    """
    template = _find(catalog.templates, "template", request.template)
    provider = choose_provider(catalog, request, template)
    same = size is not None and request.size in (None, size)
    nodes = size if size is not None and same else choose_size(template, request.size)
    present = tuple(present)
    names = tuple(request.services or (() if present else template.defaults.services))
    services = choose_services(catalog, template, names, present)
    hardware = {
        name: offer
        for name, entity in sorted(catalog.hardware_types.items())
        if (offer := entity.providermap.get(provider.name)) and offer.flavor
    }
    images = {
        name: sold
        for name, entity in sorted(catalog.image_types.items())
        if (sold := entity.providermap.get(provider.name)) and sold.image
    }
    defaults, compatible = template.defaults, template.compatibility
    hardware_wanted = _choose_type(
        "hardware type", catalog.hardware_types, hardware, compatible.hardwaretypes, request.hardware_type,
        defaults.hardwaretype, template, provider,
    )  # fmt: skip
    image_wanted = _choose_type(
        "image type", catalog.image_types, images, compatible.imagetypes, request.image_type,
        defaults.imagetype, template, provider,
    )  # fmt: skip
    return Choice(
        template=template,
        provider=provider,
        size=nodes,
        services=services,
        hardware=hardware,
        images=images,
        hardware_wanted=hardware_wanted,
        image_wanted=image_wanted,
        hardware_asked=bool(request.hardware_type),
        image_asked=bool(request.image_type),
        default_services=not request.services and not present,
        size_asked=request.size is not None or size is not None,
    )


def choose_provider(catalog: Entities, request: ClusterRequest, template: ClusterTemplate) -> Provider:
    """Return the provider of the request, else the template's default."""
    name = request.provider or template.defaults.provider
    if not name:
        raise InvalidInput(
            f"template {template.name} has no default provider and the request names none",
            hint=f"name one of: {', '.join(sorted(catalog.providers))}",
        )
    return _find(catalog.providers, "provider", name)


def choose_size(template: ClusterTemplate, size: int | None) -> int:
    """Return the number of nodes, within the template's bounds; the least it allows when ``size`` is None."""
    bounds = template.constraints.size
    least, most = bounds.min or 1, bounds.max
    if most is not None and most < least:
        raise InvalidInput(
            f"template {template.name}: constraints.size.max = {most} is below constraints.size.min = {least}",
            hint="correct the template: no size can satisfy it",
        )
    if size is None:
        return least
    if size < 1:
        raise InvalidInput(f"a cluster has at least 1 node, not {size}", hint="ask for 1 or more nodes")
    if size < least or (most is not None and size > most):
        allowed = f"{least} to {most} nodes" if most is not None else f"{least} nodes or more"
        raise InvalidInput(
            f"template {template.name} does not allow a cluster of {size} {'node' if size == 1 else 'nodes'}",
            hint=f"ask for {allowed} (constraints.size of the template)",
        )
    return size


def choose_services(
    catalog: Entities, template: ClusterTemplate, names: tuple[str, ...], present: tuple[str, ...] = ()
) -> dict[str, Service]:
    """Return the services of the cluster by name, sorted: those chosen and those ``present``, checked."""
    if not names and not present:
        raise InvalidInput(
            f"template {template.name} has no default services and the request names none",
            hint="name the services the cluster shall have",
        )
    allowed = template.compatibility.services
    alien = sorted({name for name in names if allowed and name not in allowed and name not in present})
    if alien:
        raise InvalidInput(
            f"{_list(alien)} cannot be on a cluster of template {template.name}",
            hint=among(alien[0], allowed, "compatibility.services of the template allows"),
        )
    everything = {*names, *present}
    chosen = {name: _find(catalog.services, "service", name) for name in sorted(everything)}
    provided = everything.union(*(service.dependencies.provides for service in chosen.values()))
    missing = [
        (name, when, needed)
        for name, service in chosen.items()
        for when, needs in (("install", service.dependencies.install), ("runtime", service.dependencies.runtime))
        for needed in needs.requires
        if needed not in provided
    ]
    if missing:
        raise _missing(catalog, missing)
    conflicts = [
        Problem(f"{name} conflicts with {other}", path="dependencies.conflicts")
        for name, service in chosen.items()
        for other in chosen
        if other in service.dependencies.conflicts
        or (other != name and set(chosen[other].dependencies.provides) & set(service.dependencies.conflicts))
    ]
    if conflicts:
        raise InvalidInput(
            "services that conflict cannot share a cluster: " + ", ".join(problem.message for problem in conflicts),
            hint="leave one of each pair out",
            problems=conflicts,
        )
    return chosen


def _missing(catalog: Entities, missing: list[tuple[str, str, str]]) -> InvalidInput:
    needed = sorted({name for _, _, name in missing})
    known = sorted(catalog.services.items())
    ways = []
    for name in needed:
        who = [other for other, service in known if name in (other, *service.dependencies.provides)]
        ways.append(f"{name}: {' or '.join(who) or 'nothing provides it'}")
    return InvalidInput(
        f"services the chosen ones depend on are missing: {', '.join(needed)}",
        hint=f"add what provides them ({'; '.join(ways)})",
        problems=[
            Problem(f"{name} requires {other}, which is not on the cluster", path=f"dependencies.{when}.requires")
            for name, when, other in missing
        ],
    )


def _choose_type(
    kind: str,
    known: Mapping[str, object],
    offered: Mapping[str, object],
    compatible: tuple[str, ...],
    asked: str | None,
    default: str,
    template: ClusterTemplate,
    provider: Provider,
) -> str:
    wanted = asked or default
    usable = [name for name in offered if not compatible or name in compatible]
    if not wanted and usable:
        return ""
    hint = among(wanted, usable, f"provider {provider.name} and template {template.name} allow")
    if not wanted:
        raise InvalidInput(
            f"provider {provider.name} offers no {kind} that template {template.name} can use", hint=hint
        )
    source = "the request asks for" if asked else f"template {template.name} defaults to"
    if wanted not in known:
        raise NotFound(f"no {kind} {wanted} in the catalog ({source} it)", hint=hint)
    if wanted not in usable:
        why = (
            f"provider {provider.name} does not offer it"
            if wanted not in offered
            else f"template {template.name} is not compatible with it"
        )
        raise InvalidInput(f"{source} {kind} {wanted}, but {why}", hint=hint)
    return wanted


def _find(entities: Mapping[str, T], kind: str, name: str) -> T:
    entity = entities.get(spelt(name, entities))
    if entity is None:
        raise NotFound(f"no {kind} {name} in the catalog", hint=among(name, entities))
    return entity


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
