"""Plug-ins that make machines; ``load_provider`` finds them by entry point. Importing this package costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.providers.registry import load_provider, node_options_type, provider_types, settings_type

__all__ = ["load_provider", "node_options_type", "provider_types", "settings_type"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from coopr_core.providers import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
