"""One document becomes one entity, or everything that is wrong with it, each with its path and its line."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from coopr_core.catalog.entities import Service
from coopr_core.catalog.older_format import older_format
from coopr_core.documents.document import Document
from coopr_core.documents.explanation import explain
from coopr_core.documents.paths import path_text
from coopr_core.documents.written_numbers import changed_numbers
from coopr_core.errors import InvalidInput, Problem

Model = TypeVar("Model", bound=BaseModel)


def entity_from(model: type[Model], document: Document) -> Model:
    """Return the entity a document describes. Raises ``InvalidInput`` with every problem, its path and its line."""
    try:
        entity = model.model_validate(document.value)
        problems = _changed_numbers(entity, document)
        if not problems:
            return entity
    except ValidationError as error:
        older = {"unknown_key": older_format} if issubclass(model, Service) else {}
        problems = [
            Problem(message, document.file, path_text(path), document.line(path))
            for path, message in explain(error, model, document.value, **older)
        ]
    raise InvalidInput(f"{document.file} cannot be used", problems=problems)


def _changed_numbers(entity: BaseModel, document: Document) -> list[Problem]:
    """Return the numbers that neither became text as they were written nor stand where a number is wanted."""
    if not any(changed_numbers(document.value)):
        return []
    left = {id(number) for _, number in changed_numbers(entity.model_dump())}
    known = {id(number) for _, number in changed_numbers(document.value)}
    return document.number_problems(accepted=known - left)
