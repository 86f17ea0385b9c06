"""A provider's settings, declared once: checked by pydantic, shown in forms, in the catalog's checks and by the CLI.

Promise: a plug-in writes one model; ``fields()`` tells everybody else what there is to fill in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from coopr_core.errors import InvalidInput, Problem
from coopr_core.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class SettingField:
    """One thing to fill in: ``type`` is ``text``, ``number``, ``boolean``, ``select`` or ``password``.

    ``default`` is None when there is none; ``overridable`` fields may be given per cluster.
    """

    name: str
    label: str
    type: str
    tip: str
    default: Any = None
    options: tuple[str, ...] = ()
    sensitive: bool = False
    overridable: bool = False


class ProviderSettings(BaseModel):
    """The base of a provider's settings.

    A field's ``title`` is its label and its ``description`` the tip; ``json_schema_extra`` may hold ``type``,
    ``options`` and ``overridable``; a ``SecretStr`` is sensitive. ``required_sets`` are the combinations of fields of
    which at least one must be given in full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    required_sets: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @classmethod
    def fields(cls) -> tuple[SettingField, ...]:
        """What there is to fill in, in the order of declaration."""
        return tuple(_declared(name, info) for name, info in cls.model_fields.items())

    @classmethod
    def checked(cls, values: Mapping[str, Any] | None, provider: str) -> Self:
        """The settings from outside; raises ``InvalidInput`` with everything wrong in them."""
        given = {name: value for name, value in (values or {}).items() if value is not None}
        problems = []
        if cls.required_sets and not any(all(given.get(name) for name in names) for names in cls.required_sets):
            ways = " or ".join("+".join(names) for names in cls.required_sets)
            problems.append(Problem(f"needs {ways}", path="provisioner"))
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            for detail in error.errors(include_input=False, include_url=False):
                unknown = detail["type"] == "extra_forbidden"
                meant = did_you_mean(str(detail["loc"][-1]), cls.model_fields, f"known are {known}") if unknown else ""
                message = f"unknown setting; {meant}" if unknown else detail["msg"]
                problems.append(Problem(message, path=".".join(["provisioner", *map(str, detail["loc"])])))
        if problems:
            raise InvalidInput(
                f"the settings of the {provider} provider cannot be used",
                hint="Correct them in the provider's catalog entry or its block.",
                problems=problems,
            )
        return settings


def _declared(name: str, info: Any) -> SettingField:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    sensitive = SecretStr in (info.annotation, *getattr(info.annotation, "__args__", ()))
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return SettingField(
        name=name,
        label=info.title or name,
        type=str(extra.get("type", "password" if sensitive else "text")),
        tip=info.description or "",
        default=None if sensitive else default,
        options=tuple(map(str, extra.get("options", ()))),
        sensitive=sensitive,
        overridable=bool(extra.get("overridable", False)),
    )
