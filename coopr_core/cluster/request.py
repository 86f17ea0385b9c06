"""What a user asks for: a cluster by name, from a template, of a size."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[\w.-]{1,255}")


class ClusterRequest(BaseModel):
    """A request for a cluster; None means "as the template says".

    ``size`` is the number of nodes (None: the template's least). ``config`` is deep-merged over the template's, or put
    in its place with ``config_mode="replace"``. ``lease`` is in milliseconds or text such as ``2h``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    template: str
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

    @field_validator("name")
    @classmethod
    def _name_is_valid(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a cluster name is 1 to 255 letters, digits, '_', '.' or '-'")
        return value
