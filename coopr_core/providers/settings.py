"""What can be set about a provider and its nodes, declared once: checked by pydantic, shown in forms and by the CLI.

Promise: a plug-in writes two models, of its settings and of its nodes' options; ``fields()`` tells everybody else what
there is to fill in, ``flaws()`` what is wrong in what was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


class Declared(BaseModel):
    """The base of what a plug-in declares as fields to fill in.

    A field's ``title`` is its label and its ``description`` the tip; ``json_schema_extra`` may hold ``type``,
    ``options`` and ``overridable``; a ``SecretStr`` is sensitive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def fields(cls) -> tuple[SettingField, ...]:
        """Return what there is to fill in, in the order of declaration."""
        return tuple(_declared(name, info) for name, info in cls.model_fields.items())

    @classmethod
    def flaws(cls, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Everything wrong in values from outside, as the dotted path of the field and a sentence."""
        given = {name: value for name, value in values.items() if value is not None}
        found = []
        try:
            cls.model_validate(given)
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                unknown = detail["type"] == "extra_forbidden"
                message = cls.unknown(str(detail["loc"][-1])) if unknown else detail["msg"]
                found.append((".".join(map(str, detail["loc"])), message))
        return found

    @classmethod
    def flaws_of_given(cls, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Everything wrong in values that others may be added to: nothing is missing yet."""
        given = {name for name, value in values.items() if value is not None}
        return [(path, message) for path, message in cls.flaws(values) if path.partition(".")[0] in given]

    @classmethod
    def unknown(cls, name: str) -> str:
        """Return what is told of a field that was not declared."""
        return f"unknown field{known_instead(name, cls.model_fields)}"


class NodeOptions(Declared):
    """The base of a plug-in's ``options_type``: what hardware and image types may say about a node beyond their names.

    The plug-in reads them from the request for a machine: ``MyOptions.model_validate(request.options)``.
    """

    @classmethod
    def unknown(cls, name: str) -> str:
        """Return what is told of an option the plug-in does not know."""
        return f"unknown option of nodes{known_instead(name, cls.model_fields)}"


class PlugInSettings(Declared):
    """The base of what is said about a plug-in as a whole."""

    @classmethod
    def accepted(
        cls, values: Mapping[str, Any] | None, of: str, place: str, hint: str, missing: Sequence[Problem] = ()
    ) -> Self:
        """Return the settings from outside, which stand at ``place``, of the plug-in ``of``.

        Raises ``InvalidInput`` with everything wrong in them, what is ``missing`` first.
        """
        given = {name: value for name, value in (values or {}).items() if value is not None}
        flaws = [Problem(flaw, path=f"{place}.{path}".rstrip(".")) for path, flaw in cls.flaws(given)]
        if missing or flaws:
            message = f"the settings of the {of} cannot be used"
            raise InvalidInput(message, hint=hint, problems=[*missing, *flaws])
        return cls.model_validate(given)

    @classmethod
    def unknown(cls, name: str) -> str:
        """Return what is told of a setting there is not."""
        return f"unknown setting{known_instead(name, cls.model_fields)}"


class ProviderSettings(PlugInSettings):
    """The base of a provider's settings.

    ``required_sets`` are the combinations of fields of which at least one must be given in full.
    """

    required_sets: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @classmethod
    def checked(cls, values: Mapping[str, Any] | None, provider: str) -> Self:
        """Return the settings from outside; raises ``InvalidInput`` with everything wrong in them."""
        given = values or {}
        missing = []
        if cls.required_sets and not any(all(given.get(name) for name in names) for names in cls.required_sets):
            ways = " or ".join("+".join(names) for names in cls.required_sets)
            missing.append(Problem(f"needs {ways}", path="provisioner"))
        hint = "Correct them in the provider's catalog entry or its block."
        return cls.accepted(given, f"{provider} provider", "provisioner", hint, missing)


def known_instead(name: str, known: Collection[str]) -> str:
    """Return what is near to a name there is not, or what there is, after a semicolon."""
    if not known:
        return "; there are none"
    return "; " + did_you_mean(name, known, f"known are {', '.join(known)}")


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
