"""Plug-ins that make machines, and the care all of them need. Importing this package costs nothing.

``contract`` is what a plug-in does, ``simple`` the base of one that does it a machine at a time, ``settings``,
``limits`` and ``scope`` what it is told with; ``cloud`` is what the core does with it: ``batches``, ``polling``, the
rate (``limits``), ``host_keys``, ``user_data``, ``handshake``. ``registry`` finds plug-ins by entry point, ``local`` is
one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.providers.registry import (
        load_cloud,
        load_provider,
        node_options_type,
        provider_types,
        settings_type,
    )

__all__ = ["load_cloud", "load_provider", "node_options_type", "provider_types", "settings_type"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from coopr_core.providers import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
