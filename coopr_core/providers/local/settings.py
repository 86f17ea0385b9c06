"""What can be set about local nodes; everything has a default that works."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from coopr_core.providers.settings import NodeOptions, ProviderSettings

DEFAULT_PORT = 2222
"""The SSH port of a node that has an address of its own."""


def _blank_is_none(value: object) -> object:
    return None if value == "" else value


class LocalNodeOptions(NodeOptions):
    """A local node is as its machine is: there is nothing to say about it."""


class LocalSettings(ProviderSettings):
    """The settings of the local provider."""

    address_range: Annotated[IPv4Network | None, BeforeValidator(_blank_is_none)] = Field(
        default=None,
        title="Addresses",
        description="The loopback network nodes take their addresses from, such as 127.5.0.0/20; "
        "by default a slice of 127.0.0.0/8 of this state folder's own.",
    )
    port: Annotated[int | None, BeforeValidator(_blank_is_none)] = Field(
        default=None,
        ge=1,
        le=65535,
        title="SSH port",
        description="The port the nodes' SSH servers listen on; by default 2222, or the next free one "
        "where something else holds it.",
        json_schema_extra={"type": "number"},
    )
    user: str = Field(
        default="nobody",
        min_length=1,
        title="User",
        description="When started as root: the unprivileged user the nodes' commands run as.",
    )

    @field_validator("address_range")
    @classmethod
    def _only_loopback(cls, value: IPv4Network | None) -> IPv4Network | None:
        if value is not None and not value.is_loopback:
            raise ValueError("local nodes only listen on loopback addresses, below 127.0.0.0/8")
        return value
