"""What would keep a cluster from being made of a catalog's entities: found before anything is made, with file and line.

Promise: a create refuses exactly the errors of what it uses, and ``unsound`` finds those of a whole catalog. The
installed plug-ins have their say; one that is not installed says nothing, and what is meant for it is kept as it
stands. Cost: linear in the catalog, and one solve a template.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from coopr_core.automators import automator_types, load_automator
from coopr_core.catalog.checks import addresses, lengths, scripts, variables
from coopr_core.catalog.entities import ClusterTemplate, HardwareType, ImageType, Service
from coopr_core.catalog.places import kind_of
from coopr_core.documents.paths import few
from coopr_core.errors import CooprError, InvalidInput, Problem
from coopr_core.model.request import ClusterRequest
from coopr_core.providers import node_options_type, provider_types, settings_type
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog
    from coopr_core.catalog.entities import Entity, Provider
    from coopr_core.model.layout import ClusterLayout, Node

Plug = TypeVar("Plug")


def unsound(catalog: Catalog) -> list[Problem]:
    """Everything that would keep clusters of this catalog from being made.

    Errors but for what the catalog may leave to the request or to the machine: macros, plug-ins that are not installed.
    """
    types: list[HardwareType | ImageType] = [*catalog.hardware_types.values(), *catalog.image_types.values()]
    known = {problem.path for problem in catalog.problems}
    return [
        *service_problems(catalog, catalog.services.values()),
        *provider_problems(catalog, catalog.providers.values()),
        *option_problems(catalog, types, catalog.providers.values()),
        *template_problems(catalog, catalog.templates.values()),
        *missing_plug_ins(catalog, catalog.services.values(), catalog.providers.values()),
        *(
            problem
            for template in catalog.templates.values()
            for problem in _of_least_cluster(catalog, template, known)
        ),
    ]


def refusals(catalog: Catalog, template: ClusterTemplate, layout: ClusterLayout, provider: Provider) -> list[Problem]:
    """Everything but macros that keeps the cluster with this layout from being made."""
    missing = missing_plug_ins(catalog, layout.services.values(), [provider])
    found = [
        *(replace(problem, severity="error") for problem in missing),
        *service_problems(catalog, layout.services.values(), layout.config),
        *provider_problems(catalog, [provider]),
        *option_problems(catalog, types_of(catalog, layout.nodes), [provider]),
        *_link_problems(catalog, [template], layout.config),
    ]
    return [problem for problem in found if problem.severity == "error"]


def missing_plug_ins(catalog: Catalog, services: Iterable[Service], providers: Iterable[Provider]) -> Iterator[Problem]:
    """Find the plug-ins that cannot be used.

    A warning for each that is not installed; an error wherever one that is was probably meant, or is broken.
    """
    types = [(provider.providertype, provider, "providertype") for provider in providers]
    yield from _missing(catalog, "provider plug-in", provider_types(), settings_type, types)
    actions = [
        (action.type, service, f"provisioner.actions.{name}.type")
        for service in services
        for name, action in service.actions.items()
    ]
    yield from _missing(catalog, "automator", automator_types(), load_automator, actions)


def _missing(
    catalog: Catalog,
    noun: str,
    installed: Collection[str],
    load: Callable[[str], object],
    uses: Iterable[tuple[str, Entity, str]],
) -> Iterator[Problem]:
    using: dict[str, list[tuple[Entity, str]]] = {}
    for kind, entity, path in uses:
        using.setdefault(kind, []).append((entity, path))
    for kind, places in sorted(using.items()):
        if kind in installed:
            try:
                load(kind)
                continue
            except CooprError as error:
                flaw = error.message
        else:
            meant = did_you_mean(kind, installed)
            flaw = meant and f"there is no {noun} {kind!r}: {meant}"
        if flaw:
            for entity, path in places:
                yield catalog.located(entity, Problem(flaw, path=path))
            continue
        message = f"needs the {noun} {kind!r}; installed are: {', '.join(installed) or 'none'}"
        names = list(dict.fromkeys(entity.name for entity, _ in places))
        at = places[0][1] if len(names) == 1 else f"{kind_of(places[0][0]).noun}s {few(names)}"
        problem = Problem(message, path=at, severity="warning")
        yield catalog.located(places[0][0], problem) if len(names) == 1 else problem


def _usable(installed: Collection[str], load: Callable[[str], Plug]) -> Callable[[str], Plug | None]:
    """Return what gives a plug-in, or a part of it, by its name, once each; None for one that cannot be used."""

    @cache
    def usable(kind: str) -> Plug | None:
        with suppress(CooprError):
            return load(kind) if kind in installed else None
        return None

    return usable


def service_problems(
    catalog: Catalog, services: Iterable[Service], config: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Find what keeps services from being run: actions, scripts, links, names; ``config`` is the cluster's."""
    automator = _usable(automator_types(), load_automator)
    for service in services:
        for name, action in service.actions.items():
            plug = automator(action.type)
            for problem in plug.check(name, service) if plug else ():
                yield problem if problem.file else catalog.located(service, problem)
        yield from catalog.resource_problems(service)
        for path, line, message, runs in scripts.in_files(service):
            problem = _of_file(catalog, service, path, line, message)
            yield replace(problem, severity="warning") if runs else problem
        for name, message in scripts.in_commands(service):
            yield catalog.located(service, Problem(message, path=f"provisioner.actions.{name}.fields.command"))
        yield from _link_problems(catalog, [service], config)
        yield from catalog.problems_of(lengths.of_services([service]), "error")


def provider_problems(catalog: Catalog, providers: Iterable[Provider]) -> Iterator[Problem]:
    """Find what is wrong in the settings that a provider's file has; what it lacks may be in a block."""
    declared = _usable(provider_types(), settings_type)
    for provider in providers:
        model = declared(provider.providertype)
        for path, flaw in model.flaws_of_given(provider.provisioner) if model else ():
            yield catalog.located(provider, Problem(flaw, path=f"provisioner.{path}"))


def option_problems(
    catalog: Catalog, types: Iterable[HardwareType | ImageType], providers: Iterable[Provider]
) -> Iterator[Problem]:
    """Find what hardware and image types say to providers that these do not know, or not so."""
    declared, providers = _usable(provider_types(), node_options_type), list(providers)
    for entity in types:
        for provider in providers:
            offer = entity.providermap.get(provider.name)
            model = declared(provider.providertype) if offer and offer.options else None
            if offer is None or model is None:
                continue
            for path, flaw in model.flaws_of_given(offer.options):
                meant = "" if path in model.model_fields else did_you_mean(path, type(offer).model_fields)
                message = f"unknown field: {meant}" if meant else f"provider plug-in {provider.providertype}: {flaw}"
                yield catalog.located(entity, Problem(message, path=f"providermap.{provider.name}.{path}"))


def template_problems(catalog: Catalog, templates: Iterable[ClusterTemplate]) -> Iterator[Problem]:
    """Find what is wrong in templates themselves.

    Links that are no address, names after which no cluster can be called, config that would lose a value in scripts.
    """
    templates = list(templates)
    yield from _link_problems(catalog, templates)
    yield from catalog.problems_of(lengths.of_templates(templates, too_long=True), "error")
    yield from catalog.problems_of(variables.of_templates(templates), "error")


def types_of(catalog: Catalog, nodes: Iterable[Node]) -> list[HardwareType | ImageType]:
    """Return the hardware and image types of nodes, those that today's catalog has."""
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
    problems = list(option_problems(catalog, types_of(catalog, nodes), [catalog.provider(provider)]))
    if problems:
        raise InvalidInput(
            "no machine could be made as the catalog describes it",
            hint="correct the hardware and image types at the places named; nothing was changed",
            problems=problems,
        )


def refuse_unsound_services(catalog: Catalog, services: Iterable[Service]) -> None:
    """Raise ``InvalidInput`` when services that a change brings to a cluster could not be run there."""
    problems = [problem for problem in service_problems(catalog, services) if problem.severity == "error"]
    if problems:
        raise InvalidInput(
            "services could not be run as the catalog describes them",
            hint="correct the catalog at the places named; nothing was changed",
            problems=problems,
        )


def _of_least_cluster(catalog: Catalog, template: ClusterTemplate, known: Collection[str]) -> list[Problem]:
    """Find what else a create without any option would refuse of the config: warnings, a request may say otherwise.

    ``known`` are the paths something is found at already.
    """
    from coopr_core.operations.config import config_problems
    from coopr_core.solver import solve

    try:
        layout = solve(catalog, ClusterRequest(name="check", template=template.name))
    except CooprError:
        return []
    found = []
    for problem in config_problems(layout):
        path = f"defaults.{problem.path}"
        if problem.path.startswith("config") and path not in known:
            found.append(replace(catalog.located(template, replace(problem, path=path)), severity="warning"))
    return found


def _link_problems(
    catalog: Catalog, entities: Iterable[Service | ClusterTemplate], config: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    yield from catalog.problems_of(addresses.in_links(entities, usable=False, config=config), "error")


def _of_file(catalog: Catalog, service: Service, path: str, line: int, message: str) -> Problem:
    """Return a problem of a service's file: of the file itself where it lies beside the entity's."""
    source = catalog.source(service)
    file = source.with_suffix("") / path if source else None
    if file is not None and file.is_file():
        return Problem(message, file=str(file), line=line)
    return catalog.located(service, Problem(message, path=f"files.{path}"))
