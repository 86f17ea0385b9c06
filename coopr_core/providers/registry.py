"""Which providers are installed, and how one is made: by the name of its entry point.

Promise: only the plug-in asked for is imported; an unknown type is refused with the known ones named.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast

from coopr_core.errors import CooprError, NotFound
from coopr_core.providers.contract import Provider
from coopr_core.providers.settings import NodeOptions, ProviderSettings
from coopr_core.suggestions import did_you_mean

GROUP = "coopr.providers"
"""The entry-point group plug-ins register in."""


def provider_types() -> tuple[str, ...]:
    """The names of the installed providers, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load_provider(providertype: str, settings: Mapping[str, Any] | None = None) -> Provider:
    """The provider of that type with those settings.

    Raises ``NotFound`` for an unknown type and ``InvalidInput`` for settings that cannot be used.
    """
    return cast(Provider, _plugin(providertype)(settings))


def settings_type(providertype: str) -> type[ProviderSettings]:
    """The model of a provider's settings: its fields, their checks, and what to show for them."""
    return cast(type[ProviderSettings], _plugin(providertype).settings_type)


def node_options_type(providertype: str) -> type[NodeOptions]:
    """The model of what hardware and image types may say to a provider about its nodes; without one, nothing."""
    return cast(type[NodeOptions], getattr(_plugin(providertype), "node_options", NodeOptions))


def lists_all(providertype: str) -> bool:
    """Whether a provider of that type is installed and can name all machines of this installation."""
    return providertype in provider_types() and hasattr(_plugin(providertype), "find_all")


def _plugin(providertype: str) -> Any:
    found = tuple(entry_points(group=GROUP, name=providertype))
    if not found:
        known = provider_types()
        raise NotFound(
            f"there is no provider type {providertype!r}; installed are: {', '.join(known) or 'none'}",
            hint=did_you_mean(
                providertype, known, f"A provider is a package with an entry point in {GROUP}.", form="{!r}"
            ),
        )
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise CooprError(
            f"provider {providertype!r} cannot be loaded from {found[0].value}: {error}",
            hint="Install what it needs, or reinstall the package that has it.",
        ) from error
