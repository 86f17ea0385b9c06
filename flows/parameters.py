"""The parameters that flows share, declared once: their types, their words in Prefect's form, and what groups them.

A parameter whose type is a ``Group`` is a box of Prefect's form, closed until it is wanted. Its values may also be
given one by one, under their own names, as they were before they were grouped: in Python, and by runs and schedules of
deployments that were published then.
"""

from __future__ import annotations

import functools
import inspect
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from prefect.blocks.core import Block
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic.json_schema import PydanticJsonSchemaWarning

from blocks.registry import credentials_types, key_types
from coopr_core.concurrency import MOST_CONCURRENT
from coopr_core.errors import InvalidInput
from coopr_core.model.policies import FailurePolicy, OnFailure
from coopr_core.model.request import MachineChoice


class _LeftOut:
    """What a form shows as the default of a choice that may be left out: nothing."""

    def __repr__(self) -> str:
        return "left out"


LEFT_OUT = _LeftOut()

warnings.filterwarnings("ignore", f"Default value {LEFT_OUT} is not JSON serializable", PydanticJsonSchemaWarning)


class Choice:
    """Marks a parameter that is a choice in Prefect's form, without a default.

    A form sends null for what was not touched and has null as its default, and the server takes null for no choice.
    """


def _picked(kinds: Sequence[type[Block]]) -> Any:
    """Return what a block may be given as: a block of these types, or a name."""
    return functools.reduce(operator.or_, (*kinds, str))


Tenant = Annotated[
    str | None, Field(description="Whose cluster it is; the tenant that the settings name when left out.")
]

Schedule = Annotated[
    Literal["stages", "dataflow"] | None,
    WithJsonSchema({"type": "string", "enum": ["stages", "dataflow"]}),
    Choice(),
    Field(
        description="stages waits for a whole stage before the next, dataflow starts a task as soon as it can. When "
        "left out: as the settings say; a job that goes on keeps its own.",
    ),
]

MaxConcurrency = Annotated[
    Annotated[int, Field(ge=1, le=MOST_CONCURRENT)] | None,
    Field(
        description="How many tasks may run at once. When left out: as the settings say; a job that goes on keeps its "
        "own."
    ),
]

Confirmed = Annotated[
    str, Field(description="The digest of what was shown and confirmed; refused when this would be anything else.")
]


def block_name(value: object, info: ValidationInfo) -> object:
    """Return the whole name, ``SLUG/NAME``, of a block that is given as itself; a name is left as it is.

    Raises ``InvalidInput`` for a block that is not saved: the cluster will need it again when it is deleted.
    """
    if not isinstance(value, Block):
        return value
    if not value._block_document_name:
        raise InvalidInput(
            f"the block given as {info.field_name} is not saved, so the cluster could not be deleted later",
            hint=f'save it first: block.save("a-name"), then {info.field_name}=type(block).load("a-name")',
        )
    return f"{value.get_block_type_slug()}/{value._block_document_name}"


Credentials = Annotated[
    str | None, BeforeValidator(block_name, json_schema_input_type=_picked(credentials_types()) | None)
]
"""A block of any installed provider, or its name; in Prefect's form a block is picked."""

KeyName = Annotated[str | None, BeforeValidator(block_name, json_schema_input_type=_picked(key_types()) | None)]
"""A block with a private key, or its name."""


class Group(BaseModel):
    """Values that belong together; ``former`` are names they had as parameters of their own, beside their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    former: ClassVar[Mapping[str, str]] = {}


class Machines(Group, MachineChoice):
    """Which machines the nodes are, and the blocks with what it takes to get them and to log in to them."""

    former = {"provider_settings": "credentials"}

    credentials: Credentials = Field(
        default=None,
        title="credentials",
        description="The block with the provider's settings and secrets; the one that the catalog names for the "
        "provider when left out.",
    )
    ssh_key: KeyName = Field(
        default=None,
        title="ssh_key",
        description="The block with the key that logs in to the nodes; coopr's own key when left out.",
    )

    @property
    def choice(self) -> dict[str, Any]:
        """The fields of a ``ClusterRequest`` among them."""
        return {name: getattr(self, name) for name in MachineChoice.model_fields}


class Failure(Group):
    """What becomes of a job when one of its tasks has failed for good."""

    on_failure: OnFailure = Field(
        default="hold",
        title="on_failure",
        description="hold leaves what was made for a retry, rollback deletes it, continue goes on without failed "
        "nodes.",
    )
    min_nodes: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        title="min_nodes",
        description="With continue, how many nodes with the same services must be left.",
    )

    @property
    def policy(self) -> FailurePolicy:
        """The policy of the job. Raises ``InvalidInput`` for a number of nodes that means nothing."""
        return FailurePolicy.of(self.on_failure, self.min_nodes)


def grouped(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Put the values of a flow's parameters that were given one by one into the group that they belong to.

    Raises ``InvalidInput`` when one is given both ways.
    """
    found = dict(values)
    for parameter in inspect.signature(function).parameters.values():
        group, box = _group_of(parameter.annotation), found.get(parameter.name)
        if group is None or not isinstance(box, Group | Mapping | None):
            continue
        names = {**{name: name for name in group.model_fields}, **group.former}
        alone = {name: found.pop(name) for name in names if name in found}
        given = _given(box)
        for name, value in alone.items():
            if value is None:
                continue
            if names[name] in given:
                raise InvalidInput(
                    f"{name} is given twice: by itself, and as {parameter.name}.{names[name]}",
                    hint=f"give {parameter.name}.{names[name]} alone",
                )
            given[names[name]] = value
        if given:
            found[parameter.name] = given
    return found


def with_former_names(signature: inspect.Signature) -> inspect.Signature:
    """Return the signature with the values of its groups as parameters too.

    Prefect refuses to start a run with a parameter that the flow's function does not have.
    """
    own = signature.parameters
    groups = filter(None, (_group_of(parameter.annotation) for parameter in own.values()))
    names = [name for group in groups for name in (*group.model_fields, *group.former) if name not in own]
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, kind, default=None, annotation=Any) for name in dict.fromkeys(names)]
    return signature.replace(parameters=[*own.values(), *more])


def in_form(signature: inspect.Signature) -> inspect.Signature:
    """Return the signature that Prefect's form is made of: choices that may be left out have no default there."""
    return signature.replace(
        parameters=[
            parameter.replace(default=LEFT_OUT) if _is_choice(parameter.annotation) else parameter
            for parameter in signature.parameters.values()
        ]
    )


def documented(function: Callable[..., Any]) -> str:
    """Return the docstring of a flow; parameters it does not describe itself are described as their types say."""
    text = inspect.getdoc(function) or ""
    told = "".join(
        f"\n    {parameter.name}: {words}"
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if (words := _description(parameter.annotation)) and f"\n    {parameter.name}: " not in text
    )
    head, mark, tail = text.partition("\n\nReturns:")
    return "".join([head, "" if "\nArgs:" in head or not told else "\n\nArgs:", told, mark, tail])


def _group_of(annotation: object) -> type[Group] | None:
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Group)), None)


def _is_choice(annotation: object) -> bool:
    return get_origin(annotation) is Annotated and any(isinstance(each, Choice) for each in get_args(annotation))


def _given(group: Group | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values that a group was given with, by the API or by Python."""
    if isinstance(group, Group):
        return {name: getattr(group, name) for name in group.model_fields_set}
    return dict(group or {})


def _description(annotation: object) -> str:
    fields = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((str(field.description) for field in fields if getattr(field, "description", None)), "")
