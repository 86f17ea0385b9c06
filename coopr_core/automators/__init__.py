"""Plug-ins that make services on machines: ``contract`` says what one must do, ``registry`` finds them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.automators.registry import automator_resources, automator_types, load_automator

__all__ = ["automator_resources", "automator_types", "load_automator"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from coopr_core.automators import registry

    return getattr(registry, name)
