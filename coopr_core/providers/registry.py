"""Which providers are installed, and how one is made: by the name of its entry point.

Promise: only the plug-in asked for is imported; an unknown type is refused with the known ones named, and a plug-in
that lacks a part of the contract with that part named.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast
from weakref import WeakValueDictionary

from coopr_core.errors import CooprError, NotFound
from coopr_core.plug_ins import load_plug_in
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import Provider
from coopr_core.providers.settings import NodeOptions, ProviderSettings
from coopr_core.settings import load_settings
from coopr_core.suggestions import did_you_mean

GROUP = "coopr.providers"
"""The entry-point group plug-ins register in."""

CONTRACT = (
    *("settings_type", "options_type", "limits", "takes_user_data"),
    *("check", "prepare", "create", "describe", "revive", "delete", "release", "find"),
)
"""What a plug-in has, by name."""

_clouds: WeakValueDictionary[tuple[object, ...], Cloud] = WeakValueDictionary()
_lock = threading.Lock()


def provider_types() -> tuple[str, ...]:
    """Return the names of the installed providers, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load_provider(providertype: str, settings: Mapping[str, Any] | None = None) -> Provider:
    """Return the provider of that type with those settings.

    Raises ``NotFound`` for an unknown type and ``InvalidInput`` for settings that cannot be used.
    """
    return cast(Provider, _plugin(providertype)(settings))


def load_cloud(providertype: str, settings: Mapping[str, Any] | None = None) -> Cloud:
    """Return the cloud of a provider with those settings; while somebody has it, everybody else gets the same.

    Raises what ``load_provider`` raises.
    """
    text = json.dumps(dict(settings or {}), sort_keys=True, default=str)
    account = hashlib.sha256(text.encode()).hexdigest()
    key = (_plugin(providertype), account, str(load_settings().state_dir))
    with _lock:
        cloud = _clouds.get(key)
        if cloud is None:
            cloud = _clouds[key] = Cloud(load_provider(providertype, settings))
        return cloud


def settings_type(providertype: str) -> type[ProviderSettings]:
    """Return the model of a provider's settings: its fields, their checks, and what to show for them."""
    return cast(type[ProviderSettings], _plugin(providertype).settings_type)


def node_options_type(providertype: str) -> type[NodeOptions]:
    """Return the model of what hardware and image types may say to a provider about its nodes."""
    return cast(type[NodeOptions], _plugin(providertype).options_type)


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
    plugin = load_plug_in(found[0], f"provider {providertype!r}")
    if missing := [name for name in CONTRACT if not hasattr(plugin, name)]:
        raise CooprError(
            f"provider {providertype!r} ({found[0].value}) lacks {', '.join(missing)}",
            hint="Install a version of it made for this one; coopr_core.providers.simple has most of what it lacks.",
        )
    return plugin
