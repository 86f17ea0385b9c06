"""The five kinds of entity a catalog holds, as strict values.

The field names of the original's JSON are the field names here (``providertype``, ``hardwaretypes``, ``dnsSuffix``), so
its files load unchanged; every optional key may be missing (rule D16), an unknown key is an error. Where the original
writes otherwise than we do (``extends: {name: base}`` for ``parent: base``) both are read.
"""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from coopr_core.durations import parse_duration
from coopr_core.errors import InvalidInput
from coopr_core.model.config import merge_config
from coopr_core.model.courses import LIFE, Action
from coopr_core.model.facts import block_problem
from coopr_core.model.names import dns_suffix_problem
from coopr_core.text_form import composed

Config = dict[str, Any]
"""A tree of JSON values; strings in it may hold macros."""

ACTIONS = tuple(action.lower() for action in (*LIFE, Action.HEALTH))
"""The actions a service may define, in the order of a service's life.

``health`` changes nothing: it succeeds when the service works on its node, within a time of its own choosing.
"""


def _text(value: object) -> object:
    """Numbers are welcome where the original writes text (``cost: 0.06``, ``flavor: 7``)."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _not_a_boolean(value: object) -> object:
    """Refuse ``min: true``, which is a slip, not 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {str(value).lower()}")
    return value


def _named(value: object) -> object:
    """Return the name of a template that the original writes as ``{"name": "base"}`` where others inherit from it."""
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if not isinstance(name, str) or set(value) - {"name", "version"}:
        raise ValueError('must be a name, or a map with the name alone: {"name": "base"}')
    return name


def _composed(value: object) -> object:
    """Names are compared in one Unicode form."""
    return composed(value) if isinstance(value, str) else value


_SERVICE_NAME = re.compile(r"\w[\w.-]*")
"""A service's name is the name of a folder on its nodes and can stand in a macro."""

_VERSION = re.compile(r"(?:[0-9a-f]{40})?")

Name = Annotated[str, BeforeValidator(_composed)]
Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[int, BeforeValidator(_not_a_boolean)]
Names = tuple[Name, ...]
Named = Annotated[Name, BeforeValidator(_named)]


class _Part(BaseModel):
    """A frozen value that refuses keys it does not know and takes null for a key that is not there (rule D16)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_missing(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class Entity(_Part):
    """What all entities share: a name and how people are told about it.

    ``version`` is theirs, as in the original's files; nothing depends on it.
    """

    name: Annotated[
        str,
        Field(min_length=1, description="The name other entities and requests refer to."),
        BeforeValidator(_composed),
    ]
    description: str = ""
    label: str = ""
    icon: str = ""
    version: Text = ""


class Link(_Part):
    """A page of the running cluster, shown when it is up; ``url`` may hold macros."""

    label: str = ""
    url: str


class Provider(Entity):
    """A place machines come from: which plug-in makes them and its settings, never its secrets.

    ``credentials`` names the Prefect block, ``SLUG/NAME`` or ``NAME``, that holds those; a request may name another.
    """

    LATER: ClassVar = frozenset({"credentials"})

    providertype: str
    provisioner: Config = Field(default_factory=dict)
    credentials: str = ""

    @field_validator("credentials")
    @classmethod
    def _names_a_block(cls, value: str) -> str:
        if value and (problem := block_problem(value)):
            raise ValueError(problem)
        return value

    @field_validator("provisioner")
    @classmethod
    def _fields_of_auth(cls, value: Config) -> Config:
        """Before Coopr 0.9.8 the fields stood one level deeper, below ``auth``."""
        return value["auth"] if list(value) == ["auth"] and isinstance(value["auth"], dict) else value


class Offer(_Part):
    """What one provider has for a hardware or an image type; fields of its own are options of its nodes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        """The fields that are the provider's own business: how a node is made (``spot: true``)."""
        return dict(self.model_extra or {})


class HardwareOffer(Offer):
    """What one provider calls a hardware type, and what it costs.

    ``cost`` is a price per hour as decimal text, ``ram`` is in GB, ``disks`` is ``device=GB,...``.
    """

    flavor: Text = ""
    cost: Text = ""
    vcpu: Text = ""
    ram: Text = ""
    disks: Text = ""


class HardwareType(Entity):
    """A size of machine and what each provider calls it."""

    providermap: dict[str, HardwareOffer] = Field(default_factory=dict)


class ImageOffer(Offer):
    """What one provider calls an image type, and who may log in to it."""

    image: Text = ""
    sshuser: Text = ""


class ImageType(Entity):
    """An operating system image and what each provider calls it."""

    providermap: dict[str, ImageOffer] = Field(default_factory=dict)


class Requirements(_Part):
    """The services another needs (``requires``) or merely follows when they are on the cluster (``uses``)."""

    requires: Names = ()
    uses: Names = ()


class Dependencies(_Part):
    """How a service relates to others, each by name or by a name another ``provides``."""

    provides: Names = ()
    conflicts: Names = ()
    install: Requirements = Requirements()
    runtime: Requirements = Requirements()


class ServiceAction(_Part):
    """One action of a service: the automator (``type``) that runs it and its ``fields``, which may hold macros."""

    type: str = "shell"
    fields: Config = Field(default_factory=dict)


class Provisioner(_Part):
    """The actions a service defines, by name (see ``ACTIONS``)."""

    actions: dict[str, ServiceAction] = Field(default_factory=dict)


def _resource(value: object) -> object:
    """Take a resource that is written as its name."""
    return {"name": value} if isinstance(value, str) else value


class Resource(_Part):
    """A file or folder that a service needs on its nodes as it is: its path below a catalog's ``resources``.

    The catalog fills in the rest: ``version`` is known by the content, ``source`` is where that was found.
    """

    name: Name
    version: str = ""
    source: str = ""

    @field_validator("name")
    @classmethod
    def _lies_below(cls, value: str) -> str:
        parts = value.split("/")
        if any(part in {"", ".", ".."} or part.startswith("-") for part in parts) or not value.isprintable():
            raise ValueError(f'"{value}" is no path below the folder resources')
        return value

    @field_validator("version")
    @classmethod
    def _is_a_version(cls, value: str) -> str:
        if not _VERSION.fullmatch(value):
            raise ValueError(f'"{value}" is no version: leave it to the catalog')
        return value


class Service(Entity):
    """Software that runs on nodes: what it depends on and how each action is done.

    ``files`` are the scripts that travel to the node at BOOTSTRAP, path below the service's own folder -> text. The
    loader fills it from the folder named like the service beside the entity's file. ``config`` are the paths of the
    cluster's config that CONFIGURE brings to the node (``nats.client_port``; a path covers all below it): a change
    elsewhere leaves the service alone. Empty is all of it. ``reloads`` are those of them that a running service takes
    from CONFIGURE without a restart. ``resources`` are what its nodes must hold besides, files of any kind.
    """

    LATER: ClassVar = frozenset({"resources"})

    dependencies: Dependencies = Dependencies()
    provisioner: Provisioner = Provisioner()
    links: tuple[Link, ...] = ()
    config: Names = ()
    reloads: Names = ()
    files: dict[str, str] = Field(default_factory=dict)
    resources: tuple[Annotated[Resource, BeforeValidator(_resource)], ...] = ()

    @field_validator("resources")
    @classmethod
    def _none_lies_in_another(cls, value: tuple[Resource, ...]) -> tuple[Resource, ...]:
        names = sorted(resource.name for resource in value)
        for one, other in itertools.combinations(names, 2):
            if other == one or other.startswith(f"{one}/"):
                raise ValueError(f'"{one}" is given twice' if one == other else f'"{other}" lies in "{one}" already')
        return value

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not _SERVICE_NAME.fullmatch(value):
            raise ValueError(
                f'"{value}" is no service\'s name: it takes letters, digits, "_", "." and "-" and starts with none of '
                "the last two"
            )
        return value

    @field_validator("files")
    @classmethod
    def _files_lie_below(cls, value: dict[str, str]) -> dict[str, str]:
        for path in value:
            if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
                raise ValueError(f'"{path}" is no path below the service\'s folder')
        return value

    @property
    def actions(self) -> dict[str, ServiceAction]:
        """The actions this service defines, by lower-case name."""
        return self.provisioner.actions

    @property
    def brought(self) -> tuple[object, ...]:
        """What BOOTSTRAP brings to the service's nodes, for telling whether something else is to be brought."""
        return self.files, [(resource.name, resource.version) for resource in self.resources]


class Quantities(_Part):
    """How many nodes a service may be on; None is no bound. ``ratio`` n asks for one per n nodes, rounded up."""

    min: Annotated[Number, Field(ge=0)] | None = None
    max: Annotated[Number, Field(ge=0)] | None = None
    ratio: Annotated[Number, Field(ge=1)] | None = None


class ServiceConstraint(_Part):
    """Where a service may be: on which hardware and image types (empty is any), on how many nodes.

    ``spread`` asks for the service's nodes to be spread evenly over the provider's availability zones.
    """

    hardwaretypes: Names = ()
    imagetypes: Names = ()
    quantities: Quantities = Quantities()
    spread: bool = False


class LayoutConstraint(_Part):
    """Groups of services that must share every node, or must not all share one."""

    mustcoexist: tuple[tuple[str, ...], ...] = ()
    cantcoexist: tuple[tuple[str, ...], ...] = ()


class SizeConstraint(_Part):
    """How many nodes a cluster may have; ``max`` None is no bound."""

    min: Annotated[Number, Field(ge=1)] | None = None
    max: Annotated[Number, Field(ge=1)] | None = None


class Constraints(_Part):
    """Everything a layout must obey."""

    layout: LayoutConstraint = LayoutConstraint()
    services: dict[str, ServiceConstraint] = Field(default_factory=dict)
    size: SizeConstraint = SizeConstraint()


class Compatibility(_Part):
    """What may be chosen with a template; an empty list allows everything."""

    hardwaretypes: Names = ()
    imagetypes: Names = ()
    services: Names = ()


class Defaults(_Part):
    """What a request gets when it does not say otherwise."""

    services: Names = ()
    provider: str = ""
    hardwaretype: str = ""
    imagetype: str = ""
    dnsSuffix: str = ""
    config: Config = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _config_of_services(cls, value: Any) -> Any:
        """Put the config of a service written as ``{name: b, config: {...}}`` below its name, as in the original."""
        services = value.get("services") if isinstance(value, dict) else None
        if not isinstance(services, list | tuple) or not any(isinstance(item, dict) for item in services):
            return value
        names, config = [], value.get("config") or {}
        for item in services:
            name, own = (item.get("name"), item.get("config") or {}) if isinstance(item, dict) else (None, {})
            if not isinstance(name, str) or set(item) - {"name", "config"} or not isinstance(own, dict):
                names.append(item)
                continue
            names.append(name)
            config = merge_config(config, {name: own}) if own and isinstance(config, dict) else config
        return {**value, "services": names, "config": config}

    @field_validator("dnsSuffix")
    @classmethod
    def _suffix_is_valid(cls, value: str) -> str:
        problem = dns_suffix_problem(value) if value else ""
        if problem:
            raise ValueError(problem)
        return value


class LeaseDuration(_Part):
    """Initial, longest and extension time: milliseconds or text such as ``2h``, ``7d``; 0 is unlimited."""

    initial: int | str = 0
    max: int | str = 0
    step: int | str = 0

    @field_validator("initial", "max", "step")
    @classmethod
    def _is_a_duration(cls, value: int | str) -> int | str:
        try:
            parse_duration(value)
        except InvalidInput as error:
            raise ValueError(f"{error.message}: {error.hint}") from None
        return value


class Administration(_Part):
    """Rules an administrator sets for the clusters of a template."""

    leaseduration: LeaseDuration = LeaseDuration()


class ClusterTemplate(Entity):
    """A kind of cluster: its services, what it is compatible with, its constraints and its default config.

    ``parent`` (the original's ``extends``) and ``includes`` are merged when the catalog is loaded (rule D10).
    ``config`` are the paths that may be set beside those which the defaults have and the services read; ``any`` takes
    every key. A template with a service that does not say what it reads takes every key too.
    """

    parent: Annotated[Named, Field(validation_alias=AliasChoices("parent", "extends"))] = ""
    includes: tuple[Named, ...] = ()
    defaults: Defaults = Defaults()
    compatibility: Compatibility = Compatibility()
    constraints: Constraints = Constraints()
    administration: Administration = Administration()
    links: tuple[Link, ...] = ()
    config: Literal["any"] | Names = ()

    @field_validator("config", mode="before")
    @classmethod
    def _config_names_keys(cls, value: object) -> object:
        if isinstance(value, dict):
            raise ValueError('must be "any" or a list of keys, not a map: values stand below defaults.config')
        if isinstance(value, str) and value != "any":
            raise ValueError(f'must be "any" or a list of keys, not the text "{value}": write [{value}]')
        return value


class PartialTemplate(ClusterTemplate):
    """A piece of a template that others include; when ``immutable``, nobody may set its config keys again."""

    immutable: bool = False
