"""What clusters are made from: entities, and the catalog that loads, merges and checks them.

``Catalog`` is imported when it is first used; ``entities`` are plain values other packages build on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog as Catalog

__all__ = ["Catalog"]


def __getattr__(name: str) -> Any:
    if name == "Catalog":
        from coopr_core.catalog.catalog import Catalog

        return Catalog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
