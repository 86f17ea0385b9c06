"""What a user asks for: a cluster by name, from a template, of a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from coopr_core.durations import parse_duration
from coopr_core.errors import InvalidInput, Problem
from coopr_core.model.facts import block_problem
from coopr_core.model.names import cluster_name_problem, dns_suffix_problem, new_name_problem
from coopr_core.text_form import composed

Value = TypeVar("Value")

_RECORDED = "recorded"
"""In the context of a validation: the request is one that was accepted before."""

WRITTEN = (
    "name",
    "template",
    "size",
    "services",
    "provider",
    "hardware_type",
    "image_type",
    "config",
    "config_mode",
    "dns_suffix",
    "lease",
    "optimize",
    "credentials",
    "ssh_key",
)
"""The fields of a request in the order in which it is written down."""

OPTIONS = {"size": "--nodes"}
"""Fields whose option of the command is not simply called like them."""


class MachineChoice(BaseModel):
    """Which machines the nodes of a cluster are; what is None is as the template says, or the solver's choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    LATER: ClassVar = frozenset({"credentials", "ssh_key"})

    provider: str | None = Field(
        default=None, title="provider", description="Where machines come from, instead of the template's default."
    )
    hardware_type: str | None = Field(
        default=None,
        title="hardware_type",
        description="One hardware type for all nodes, instead of the solver's choice.",
    )
    image_type: str | None = Field(
        default=None, title="image_type", description="One image type for all nodes, instead of the solver's choice."
    )
    dns_suffix: str | None = Field(
        default=None, title="dns_suffix", description="The domain of the host names, instead of the template's."
    )
    optimize: Literal["preference", "cost"] = Field(
        default="preference",
        title="optimize",
        description="preference keeps the template's order of layouts, cost takes the cheapest that satisfies "
        "everything.",
    )
    credentials: str | None = Field(
        default=None,
        title="credentials",
        description="The block with the provider's settings and secrets, SLUG/NAME or NAME; the one that the catalog "
        "names for the provider when left out.",
    )
    ssh_key: str | None = Field(
        default=None,
        title="ssh_key",
        description="The block with the key that logs in to the nodes; coopr's own key when left out.",
    )

    @field_validator("credentials", "ssh_key")
    @classmethod
    def _names_a_block(cls, value: str | None) -> str | None:
        if value is not None and (problem := block_problem(value)):
            raise ValueError(problem)
        return value

    @field_validator("provider", "hardware_type", "image_type")
    @classmethod
    def _types_in_one_form(cls, value: str | None) -> str | None:
        return None if value is None else composed(value)

    @field_validator("dns_suffix")
    @classmethod
    def _suffix_is_valid(cls, value: str | None, info: ValidationInfo) -> str | None:
        problem = dns_suffix_problem(value) if value else ""
        if value and not problem and not (info.context or {}).get(_RECORDED):
            odd = [label for label in value.split(".") if label.startswith("-") or label.endswith("-")]
            problem = f'"{value}" is no DNS suffix: "{odd[0]}" in it begins or ends with "-"' if odd else ""
        return _without(problem, value)


class ClusterRequest(MachineChoice):
    """A request for a cluster; None means "as the template says".

    ``size`` is the number of nodes (None: the least that has a layout). ``config`` is deep-merged over the template's,
    or put in its place with ``config_mode="replace"``. ``lease`` is in milliseconds or text such as ``2h``. Written
    down, a request is one flat map in the order of ``WRITTEN``. Invalid values raise pydantic's ``ValidationError``;
    ``parse`` raises ``InvalidInput``, for people.
    """

    name: str
    template: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=1)] | None = None
    services: tuple[str, ...] | None = None
    config: dict[str, Any] | None = None
    config_mode: Literal["merge", "replace"] = "merge"
    lease: int | str | None = None

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Return the request made of these values.

        Raises ``InvalidInput`` that names each wrong field as the command does.
        """
        from coopr_core.documents.explanation import explain

        try:
            return cls(**values)
        except ValidationError as error:
            found = explain(error, cls, values)
        problems = [Problem(message, path=_option(path)) for path, message in found]
        raise InvalidInput(
            "the request is invalid", hint="coopr create --help shows what each option takes", problems=problems
        )

    @model_serializer(mode="wrap")
    def _in_order(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = written(self)
        return {name: values[name] for name in WRITTEN if name in values}

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

    @field_validator("template")
    @classmethod
    def _in_one_form(cls, value: str) -> str:
        return composed(value)

    @field_validator("services")
    @classmethod
    def _each_in_one_form(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(map(composed, value))

    @field_validator("size", mode="before")
    @classmethod
    def _size_is_a_number(cls, value: object) -> object:
        return _without(f"must be a whole number, not {str(value).lower()}" if isinstance(value, bool) else "", value)

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
