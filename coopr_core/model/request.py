"""What a user asks for: a cluster by name, from a template, of a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from coopr_core.errors import InvalidInput, Problem
from coopr_core.model.leases import parse_duration
from coopr_core.model.names import cluster_name_problem, dns_suffix_problem, new_name_problem
from coopr_core.text_form import composed

Value = TypeVar("Value")

_RECORDED = "recorded"
"""In the context of a validation: the request is one that was accepted before."""

OPTIONS = {"size": "--nodes"}
"""Fields whose option of the command is not simply called like them."""


class ClusterRequest(BaseModel):
    """A request for a cluster; None means "as the template says".

    ``size`` is the number of nodes (None: the least that has a layout). ``config`` is deep-merged over the template's,
    or put in its place with ``config_mode="replace"``. ``lease`` is in milliseconds or text such as ``2h``. Invalid
    values raise pydantic's ``ValidationError``; ``parse`` raises ``InvalidInput``, for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    template: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=1)] | None = None
    services: tuple[str, ...] | None = None
    provider: str | None = None
    hardware_type: str | None = None
    image_type: str | None = None
    config: dict[str, Any] | None = None
    config_mode: Literal["merge", "replace"] = "merge"
    dns_suffix: str | None = None
    lease: int | str | None = None
    optimize: Literal["preference", "cost"] = "preference"

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Return the request made of these values.

        Raises ``InvalidInput`` that names each wrong field as the command does.
        """
        from coopr_core.catalog.validation import explain

        try:
            return cls(**values)
        except ValidationError as error:
            found = explain(error, cls, values)
        problems = [Problem(message, path=_option(path)) for path, message in found]
        raise InvalidInput(
            "the request is invalid", hint="coopr create --help shows what each option takes", problems=problems
        )

    @classmethod
    def recorded(cls, values: Mapping[str, Any]) -> Self:
        """Return a request read back from the record: its cluster keeps its name, whatever new ones may be called."""
        return cls.model_validate(values, context={_RECORDED: True})

    @field_validator("name")
    @classmethod
    def _name_is_valid(cls, value: str, info: ValidationInfo) -> str:
        if (info.context or {}).get(_RECORDED):
            return _without(cluster_name_problem(value), value)
        value = composed(value)
        return _without(new_name_problem(value), value)

    @field_validator("template", "provider", "hardware_type", "image_type")
    @classmethod
    def _in_one_form(cls, value: str | None) -> str | None:
        return None if value is None else composed(value)

    @field_validator("services")
    @classmethod
    def _each_in_one_form(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(map(composed, value))

    @field_validator("size", mode="before")
    @classmethod
    def _size_is_a_number(cls, value: object) -> object:
        return _without(f"must be a whole number, not {str(value).lower()}" if isinstance(value, bool) else "", value)

    @field_validator("dns_suffix")
    @classmethod
    def _suffix_is_valid(cls, value: str | None, info: ValidationInfo) -> str | None:
        problem = dns_suffix_problem(value) if value else ""
        if value and not problem and not (info.context or {}).get(_RECORDED):
            odd = [label for label in value.split(".") if label.startswith("-") or label.endswith("-")]
            problem = f'"{value}" is no DNS suffix: "{odd[0]}" in it begins or ends with "-"' if odd else ""
        return _without(problem, value)

    @field_validator("lease")
    @classmethod
    def _lease_is_a_duration(cls, value: int | str | None) -> int | str | None:
        if value is not None:
            try:
                parse_duration(value)
            except InvalidInput as error:
                raise ValueError(f"{error.message}: {error.hint}") from None
        return value


def _without(problem: str, value: Value) -> Value:
    """Return the value, unless there is a problem with it."""
    if problem:
        raise ValueError(problem)
    return value


def _option(path: tuple[str | int, ...]) -> str:
    """Return a field as the command calls it: ``--hardware-type``; the name is no option but the argument."""
    field = str(path[0]) if path else "request"
    return OPTIONS.get(field) or ("name" if field == "name" else f"--{field.replace('_', '-')}")
