"""Nodes on this machine: each an address, a folder and an SSH server, without root and without system packages.

``provider`` is what the engine calls; ``records`` and ``addresses`` say which nodes there are; ``accounts`` and
``image`` who and what runs on them; ``server`` is the one process that serves them all; ``processes`` ends what runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]


def __getattr__(name: str) -> Any:
    if name == "LocalProvider":
        from coopr_core.providers.local.provider import LocalProvider

        return LocalProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
