"""Prefect blocks: the settings and secrets of plug-ins, the keys to log in to nodes, and whom to call back.

``prefect block register -m blocks`` publishes them, those of installed plug-ins too (``LocalProviderSettings`` is the
local provider's); a server on a machine where coopr is installed does so by itself (entry point
``prefect.collections``). Importing this imports Prefect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.http_callback import HttpCallback
from blocks.registry import block_types
from blocks.ssh_key import SshKey

if TYPE_CHECKING:
    from blocks.credentials import ProviderSettingsBlock as LocalProviderSettings

__all__ = ["HttpCallback", "LocalProviderSettings", "SshKey"]


def __getattr__(name: str) -> Any:
    found = {kind.__name__: kind for kind in block_types().values()} if not name.startswith("_") else {}
    if name not in found:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *(kind.__name__ for kind in block_types().values())})
