"""What looks wrong in a catalog that loads: one module an idea, each a function from the catalog to its findings.

All of them are warnings: a template nobody can use must not keep others from being used. What makes a whole catalog
meaningless (dependency cycles, ``cycles``) is an error when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.catalog.places import Finding


def findings(catalog: Catalog, written: Iterable[ClusterTemplate]) -> Iterator[Finding]:
    """Everything the checks find; ``written`` are the templates and partials as their files have them, unmerged."""
    from coopr_core.catalog.checks import addresses, choices, lengths, limits, macro_uses, offers, references

    return chain(
        references.in_services(catalog),
        references.in_templates(catalog, written),
        choices.in_choices(catalog),
        limits.in_limits(catalog),
        offers.in_offers(catalog),
        offers.in_providers(catalog),
        macro_uses.in_macros(catalog),
        addresses.in_links([*catalog.services.values(), *catalog.templates.values()], usable=True),
        lengths.of_templates(catalog.templates.values(), too_long=False),
    )
