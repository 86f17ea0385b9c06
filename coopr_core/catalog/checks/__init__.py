"""What looks wrong in a catalog that loads: one module an idea, each a function from the catalog to its findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.catalog.places import Finding


def findings(catalog: Catalog, written: Iterable[ClusterTemplate]) -> Iterator[Finding]:
    """Everything the checks find; ``written`` are the templates and partials as their files have them, unmerged."""
    return iter(())
