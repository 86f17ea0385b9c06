"""The blocks that hold what a plug-in declares as its settings, generated from that: nobody writes a field twice.

A block is filled in once in Prefect's UI and picked when a cluster is made. It holds what the catalog may not, secrets
(``SecretStr``, which Prefect encrypts), and what differs from machine to machine. What is filled in is laid over the
catalog's ``provisioner`` settings; every field may be left empty, for the catalog may have it.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Optional

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretBytes, SecretStr, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from blocks.form import FormBlock
from coopr_core.providers.registry import load_provider
from coopr_core.providers.settings import Declared

if TYPE_CHECKING:
    from coopr_core.providers.contract import Provider

_EXAMPLE = """{about}

    Attributes:
{attributes}

    Example:
        Save settings once, then create clusters with them:

        ```python
        from blocks import {name}

        {name}({arguments}).save("my-settings", overwrite=True)
        ```
    """


class SettingsBlock(FormBlock):
    """The settings of a plug-in; its fields have the names of the plug-in's own, and one left empty is not given."""

    model_config = ConfigDict(hide_input_in_errors=True)

    _declared: ClassVar[type[Declared]] = Declared
    _plugin: ClassVar[str] = ""

    def settings(self) -> dict[str, Any]:
        """Return the settings that are given, secrets in clear: for the plug-in, never for a log."""
        return given_settings(self)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value != ""} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _settings_are_accepted(self) -> SettingsBlock:
        """Refuse what the plug-in would refuse, but not that something is missing: the catalog may have it."""
        if flaws := self._declared.flaws_of_given(self.settings()):
            raise ValueError("; ".join(f"{path}: {flaw}" for path, flaw in flaws))
        return self


class ProviderSettingsBlock(SettingsBlock):
    """The settings and secrets of a provider."""

    def provider(self) -> Provider:
        """Return the provider plug-in with these settings alone."""
        return load_provider(self._plugin, self.settings())


class AutomatorSettingsBlock(SettingsBlock):
    """The settings and secrets of an automator."""


def given_settings(block: Block) -> dict[str, Any]:
    """Return the fields of any block that are filled in, as JSON values with secrets in clear."""
    fields = set(type(block).model_fields)
    values = block.model_dump(mode="json", include=fields, context={"include_secrets": True})
    return {name: _clear(values[name]) for name in fields if values.get(name) not in (None, "")}


@lru_cache(maxsize=128)
def settings_block(base: type[SettingsBlock], plugin: str, declared: type[Declared]) -> type[SettingsBlock]:
    """Return the block of a plug-in with these settings; the same class for the same plug-in."""
    kind = "Provider" if base is ProviderSettingsBlock else "Automator"
    words = [word for word in re.split(r"[^A-Za-z0-9]+", plugin) if word]
    name = "".join(word.capitalize() for word in words) + f"{kind}Settings"
    about = _first_line(declared) or f"The settings of the {plugin} {kind.lower()}."
    fields = {field: _optional(info) for field, info in declared.model_fields.items()}
    space = {
        "__module__": "blocks",
        "__doc__": _EXAMPLE.format(about=about, name=name, **_documented(declared.model_fields)),
        "__annotations__": {field: kind for field, (kind, _) in fields.items()},
        "_block_type_name": f"Coopr {' '.join(word.capitalize() for word in words)} {kind} Settings",
        "_block_type_slug": f"coopr-{'-'.join(words).lower()}-{kind.lower()}-settings",
        "_description": about,
        "_declared": declared,
        "_plugin": plugin,
        **{field: info for field, (_, info) in fields.items()},
    }
    made: type[SettingsBlock] = types.new_class(name, (base,), exec_body=lambda namespace: namespace.update(space))
    return made


def _optional(info: FieldInfo) -> tuple[Any, Any]:
    """Return a setting as a field that may be left empty."""
    kind = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    choices: JsonDict = {"enum": extra["options"]} if extra.get("options") else {}
    field: Any = Field(default=None, title=info.title, description=info.description, json_schema_extra=choices)
    return Optional[kind], field  # noqa: UP045 - made while the program runs


def _documented(fields: Mapping[str, FieldInfo]) -> dict[str, str]:
    lines = [f"        {name}: {info.description or info.title or name}" for name, info in fields.items()]
    return {"attributes": "\n".join(lines), "arguments": f"{next(iter(fields))}=..." if fields else ""}


def _first_line(declared: type[Declared]) -> str:
    return (declared.__doc__ or "").strip().partition("\n")[0]


def _clear(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
