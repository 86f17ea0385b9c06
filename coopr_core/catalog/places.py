"""From a finding to the file, path and line a person has to look at.

A finding names list elements by their value (``("compatibility", "imagetypes", "ubuntu16")``), because a merged
template's lists are not those of any one file. It is placed in the entity's own file, or, where that does not have the
path, in the file of the nearest template it inherits from that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from coopr_core.catalog.entities import ClusterTemplate, Entity, PartialTemplate
from coopr_core.catalog.kinds import KINDS, Kind
from coopr_core.documents.document import Document
from coopr_core.documents.paths import few, path_of, path_text
from coopr_core.errors import Problem

Step = str | int | tuple[str, ...]
"""A key, a list position, or the value of a list's element (text, a link's url, or the group itself)."""


Path = tuple[str | int, ...]
"""Where a key or an element stands in a document, list elements by position."""

_OTHERWISE = {"parent": "extends"}
"""Keys by the name the original gives them."""


class Finding(NamedTuple):
    """Something about an entity: at which path, what."""

    entity: Entity
    path: tuple[Step, ...]
    message: str


class Origin(NamedTuple):
    """Where an entity comes from; ``path`` is None when it was not read from a file."""

    document: Document
    path: FilePath | None = None


class Places:
    """Turns findings into problems with their places."""

    def __init__(
        self,
        origins: Mapping[tuple[Kind, str], Origin],
        lines: Mapping[str, Sequence[ClusterTemplate]],
    ) -> None:
        self._origins = origins
        self._lines = lines

    def problems(self, findings: Iterable[Finding], severity: str) -> list[Problem]:
        """Return the findings as problems of files; without a file an entity's kind and name stand in its place.

        What many templates inherit from one is one problem.
        """
        found: dict[tuple[str, Path, str], tuple[Document, list[str]]] = {}
        for finding in findings:
            document, path, whose = self._place(finding)
            found.setdefault((document.file, path, finding.message), (document, []))[1].append(whose)
        problems = []
        for (_, path, message), (document, heirs) in found.items():
            names = "" if "" in heirs else few(list(dict.fromkeys(heirs)))
            problems.append(_placed(f"{names}: {message}" if names else message, document, path, severity))
        return problems

    def _place(self, finding: Finding) -> tuple[Document, Path, str]:
        """Return the document and the path of a finding, and whose it is when it is inherited from there."""
        for entity in self._homes(finding.entity):
            document = self._document(entity)
            path = _positions(document.value, finding.path)
            if path is not None:
                own = entity is finding.entity or entity.name == finding.entity.name
                return document, path, "" if own else finding.entity.name
        plain = tuple(str(step) if isinstance(step, tuple) else step for step in finding.path)
        return self._document(finding.entity), plain, ""

    def located(self, entity: Entity, problem: Problem) -> Problem:
        """Return a problem that has a path and knows neither file nor line, with both."""
        document = self._document(entity)
        path = path_of(problem.path)
        return replace(problem, file=document.file, line=document.line(path) if document.text else 0)

    def _homes(self, entity: Entity) -> list[Entity]:
        if not isinstance(entity, ClusterTemplate) or isinstance(entity, PartialTemplate):
            return [entity]
        return [entity, *reversed(self._lines.get(entity.name, ())[:-1])]

    def _document(self, entity: Entity) -> Document:
        kind = kind_of(entity)
        origin = self._origins.get((kind, entity.name))
        if origin is not None:
            return origin.document
        return Document(f"{kind.noun} {entity.name}", "", entity.model_dump(mode="json", exclude_unset=True))


def kind_of(entity: Entity) -> Kind:
    """Return the kind of an entity."""
    return next(kind for kind in KINDS if type(entity) is kind.model)


def _placed(message: str, document: Document, path: Path, severity: str) -> Problem:
    return Problem(message, document.file, path_text(path), document.line(path) if document.text else 0, severity)


def _positions(value: Any, path: Sequence[Step]) -> Path | None:
    """Return the path with list elements by position, or None when the value does not have it."""
    found: list[str | int] = []
    for step in path:
        if isinstance(value, Mapping) and isinstance(step, str) and step not in value:
            step = _OTHERWISE.get(step, step)
        if isinstance(value, Mapping) and isinstance(step, str) and step in value:
            found.append(step)
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            index = step if isinstance(step, int) else _index(value, step)
            if index is None or index >= len(value):
                return None
            found.append(index)
            value = value[index]
        else:
            return None
    return tuple(found)


def _index(elements: Sequence[Any], wanted: str | tuple[str, ...]) -> int | None:
    for index, element in enumerate(elements):
        plain = element.get("name", element.get("url")) if isinstance(element, Mapping) else element
        if (tuple(plain) if isinstance(plain, list | tuple) else plain) == wanted:
            return index
    return None
