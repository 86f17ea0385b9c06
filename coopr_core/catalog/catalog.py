"""The catalog: everything clusters are made from, by name, merged and checked.

Promise: a catalog that loaded has no syntax error, no unknown key, no inheritance or dependency cycle; everything else
that looks wrong is in ``problems``. All errors are reported at once. Cost: linear in the files; warnings are looked for
when ``problems`` is first read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from coopr_core.catalog.checks.cycles import dependency_cycles
from coopr_core.catalog.entities import (
    ClusterTemplate,
    Entity,
    HardwareType,
    ImageType,
    PartialTemplate,
    Provider,
    Service,
)
from coopr_core.catalog.folders import Source, resource_folder, sources
from coopr_core.catalog.inheritance import merge_templates
from coopr_core.catalog.kinds import BY_FOLDER, HARDWARE, IMAGE, PARTIAL, PROVIDER, SERVICE, TEMPLATE, Kind
from coopr_core.catalog.places import Finding, Origin, Places, kind_of
from coopr_core.catalog.resources import also_needed, flaws_of, found_in
from coopr_core.catalog.validation import entity_from
from coopr_core.documents.document import Document
from coopr_core.errors import InvalidInput, NotFound, Problem
from coopr_core.suggestions import did_you_mean

BUILTIN = Path(__file__).parent / "builtin"
"""Our own catalog."""

E = TypeVar("E", bound=Entity)


class Catalog:
    """Templates, services, hardware types, image types and providers by name. Do not change its dicts.

    ``templates`` are merged with their parents and partials; ``problems`` are warnings.
    """

    def __init__(
        self,
        templates: Iterable[ClusterTemplate] = (),
        services: Iterable[Service] = (),
        hardware_types: Iterable[HardwareType] = (),
        image_types: Iterable[ImageType] = (),
        providers: Iterable[Provider] = (),
        partials: Iterable[PartialTemplate] = (),
        *,
        _origins: Mapping[tuple[Kind, str], Origin] | None = None,
        _resources: Sequence[Path] = (),
        _problems: Sequence[Problem] = (),
    ) -> None:
        self._origins = dict(_origins or {})
        self._noted = [problem for problem in _problems if problem.severity != "error"]
        self._resources = tuple(_resources)
        self.services = _by_name(services)
        self.hardware_types = _by_name(hardware_types)
        self.image_types = _by_name(image_types)
        self.providers = _by_name(providers)
        self._written = [*_by_name(templates).values(), *_by_name(partials).values()]
        inheritance = merge_templates(_by_name(templates), _by_name(partials))
        self.templates = inheritance.templates
        self._places = Places(self._origins, inheritance.lines)
        errors = [problem for problem in _problems if problem.severity == "error"]
        findings = [*inheritance.flaws, *dependency_cycles(self.services)]
        errors += self._places.problems(findings, "error")
        if errors:
            raise _invalid(errors)

    @classmethod
    def load(
        cls,
        paths: Iterable[Path | str] | Path | str = (),
        builtin: bool = True,
        resources_of: Callable[[str], Sequence[str]] | None = None,
    ) -> Catalog:
        """Read catalog directories; what a later one has replaces what an earlier one has under the same name.

        ``resources_of`` tells which resources services need whose actions are of a type, where the catalog has them.
        Raises ``InvalidInput`` with every problem found in all of them.
        """
        given = [paths] if isinstance(paths, Path | str) else list(paths)
        problems: list[Problem] = []
        entities: dict[tuple[Kind, str], Entity] = {}
        origins: dict[tuple[Kind, str], Origin] = {}
        folders = [*([BUILTIN] if builtin else []), *(Path(path).expanduser() for path in given)]
        resources = [folder for folder in map(resource_folder, folders) if folder.is_dir()]
        needs = cache(resources_of) if resources_of and resources else None
        for path in folders:
            here: dict[tuple[Kind, str], Origin] = {}
            for source in sources(path, problems):
                try:
                    entity = _with_files(entity_from(source.kind.model, source.document), source)
                except InvalidInput as error:
                    problems.extend(error.problems)
                    continue
                key = (source.kind, entity.name)
                if key in here:
                    message = f'{source.kind.noun} "{entity.name}" is also defined in {here[key].path}'
                    line = source.document.line(("name",))
                    problems.append(Problem(message, source.document.file, "name", line))
                    continue
                here[key] = Origin(source.document, source.path)
                entities[key] = entity
            origins |= here
        found = {key: _with_resources(entity, resources, needs) for key, entity in entities.items()}
        return cls._from_entities(found, origins, problems, resources)

    @classmethod
    def from_data(cls, data: Mapping[str, Iterable[Any]]) -> Catalog:
        """Return a catalog from JSON values: folder name -> its entities (``{"services": [{"name": "a"}, ...], ...}``).

        Raises ``InvalidInput`` with every problem found in them.
        """
        problems: list[Problem] = []
        entities: dict[tuple[Kind, str], Entity] = {}
        origins: dict[tuple[Kind, str], Origin] = {}
        for folder, values in data.items():
            kind = BY_FOLDER.get(folder)
            if kind is None:
                meant = did_you_mean(folder, BY_FOLDER) or f"those are {', '.join(BY_FOLDER)}"
                problems.append(Problem(f'"{folder}" is no folder of a catalog: {meant}'))
                continue
            for index, value in enumerate(values):
                name = value.get("name", index) if isinstance(value, Mapping) else index
                document = Document(f"{folder}/{name}", "", value)
                try:
                    entity = entity_from(kind.model, document)
                except InvalidInput as error:
                    problems.extend(error.problems)
                    continue
                if (kind, entity.name) in entities:
                    problems.append(Problem(f'{kind.noun} "{entity.name}" is there twice', document.file, "name"))
                else:
                    entities[kind, entity.name] = entity
                    origins[kind, entity.name] = Origin(document)
        return cls._from_entities(entities, origins, problems)

    @classmethod
    def _from_entities(
        cls,
        entities: Mapping[tuple[Kind, str], Entity],
        origins: Mapping[tuple[Kind, str], Origin],
        problems: Sequence[Problem],
        resources: Sequence[Path] = (),
    ) -> Catalog:
        def of(kind: Kind) -> Any:
            return [entity for (its, _), entity in entities.items() if its is kind]

        return cls(
            of(TEMPLATE),
            of(SERVICE),
            of(HARDWARE),
            of(IMAGE),
            of(PROVIDER),
            of(PARTIAL),
            _origins=origins,
            _resources=resources,
            _problems=problems,
        )

    def template(self, name: str) -> ClusterTemplate:
        """Return the merged template of that name. Raises ``NotFound``."""
        return _find(self.templates, name, TEMPLATE)

    def service(self, name: str) -> Service:
        """Return the service of that name. Raises ``NotFound``."""
        return _find(self.services, name, SERVICE)

    def provider(self, name: str) -> Provider:
        """Return the provider of that name. Raises ``NotFound``."""
        return _find(self.providers, name, PROVIDER)

    def hardware_type(self, name: str) -> HardwareType:
        """Return the hardware type of that name. Raises ``NotFound``."""
        return _find(self.hardware_types, name, HARDWARE)

    def image_type(self, name: str) -> ImageType:
        """Return the image type of that name. Raises ``NotFound``."""
        return _find(self.image_types, name, IMAGE)

    def source(self, entity: Entity) -> Path | None:
        """Return the file an entity was read from; None when it was not read from a file."""
        origin = self._origins.get((kind_of(entity), entity.name))
        return origin.path if origin else None

    def resource_problems(self, service: Service) -> list[Problem]:
        """Return why the service cannot have what it names in ``resources``, with the place."""
        return [
            problem if problem.file else self.located(service, replace(problem, path=f"resources[{index}]"))
            for index, resource in enumerate(service.resources)
            for problem in flaws_of(resource, self._resources)
        ]

    def problem(self, finding: Finding, severity: str = "warning") -> Problem:
        """Return a finding about one of the catalog's entities, placed in the file a person has to look at."""
        (problem,) = self._places.problems([finding], severity)
        return problem

    def problems_of(self, findings: Iterable[Finding], severity: str = "warning") -> list[Problem]:
        """Return findings about the catalog's entities, placed likewise; what many inherit from one is one problem."""
        return self._places.problems(findings, severity)

    def located(self, entity: Entity, problem: Problem) -> Problem:
        """Return a problem of one of the catalog's entities, with the file and the line its path stands at."""
        return self._places.located(entity, problem)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that looks wrong but need not be, in the order of the files."""
        from coopr_core.catalog.checks import findings

        found = self._places.problems(findings(self, self._written), "warning")
        return tuple(sorted(dict.fromkeys([*self._noted, *found]), key=_place))


def _with_files(entity: Entity, source: Source) -> Entity:
    if not source.files or not isinstance(entity, Service):
        return entity
    return entity.model_copy(update={"files": {**entity.files, **source.files}})


def _with_resources(entity: Entity, folders: Sequence[Path], needs: Callable[[str], Sequence[str]] | None) -> Entity:
    if not isinstance(entity, Service):
        return entity
    named = list(entity.resources)
    if needs is not None:
        types = {action.type for action in entity.actions.values()}
        named += also_needed(named, (name for kind in sorted(types) for name in needs(kind)), folders)
    return (
        entity.model_copy(update={"resources": tuple(found_in(each, folders) for each in named)}) if named else entity
    )


def _by_name(entities: Iterable[E]) -> dict[str, E]:
    return {entity.name: entity for entity in sorted(entities, key=lambda entity: entity.name)}


def _find(among: Mapping[str, E], name: str, kind: Kind) -> E:
    found = among.get(name)
    if found is None:
        hint = did_you_mean(name, among)
        if not hint:
            hint = (
                f"coopr catalog list shows the {kind.noun}s there are" if among else f"the catalog has no {kind.noun}s"
            )
        raise NotFound(f'no {kind.noun} "{name}"', hint=hint)
    return found


def _place(problem: Problem) -> tuple[str, int, str, str]:
    return (problem.file, problem.line, problem.path, problem.message)


def _invalid(problems: Sequence[Problem]) -> InvalidInput:
    many = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
    return InvalidInput(
        f"the catalog has {many}",
        hint="correct the files; nothing has been created",
        problems=sorted(dict.fromkeys(problems), key=_place),
    )
