"""Bounds no number satisfies: sizes, quantities and lease durations that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.catalog.places import Finding
from coopr_core.durations import FOREVER, format_duration
from coopr_core.model.leases import Lease

if TYPE_CHECKING:
    from coopr_core.catalog.catalog import Catalog


def in_limits(catalog: Catalog) -> Iterator[Finding]:
    """Yield merged templates that no size satisfies whatever is chosen, and leases that cannot be extended."""
    for template in catalog.templates.values():
        yield from _size(template)
        yield from _quantities(template)
        lease = Lease.of(template.administration.leaseduration)
        if lease.max != FOREVER and (lease.initial == FOREVER or lease.initial > lease.max):
            message = f"is longer than max, {format_duration(lease.max)}: such a lease can never be extended"
            yield Finding(template, ("administration", "leaseduration", "initial"), message)


def _size(template: ClusterTemplate) -> Iterator[Finding]:
    size = template.constraints.size
    if size.max is not None and (size.min or 1) > size.max:
        message = f"no size can satisfy the template: at least {size.min} and at most {size.max} nodes"
        yield Finding(template, ("constraints", "size"), message)


def _quantities(template: ClusterTemplate) -> Iterator[Finding]:
    most = template.constraints.size.max
    for name, limit in template.constraints.services.items():
        at = ("constraints", "services", name, "quantities")
        quantities = limit.quantities
        least = quantities.min or 0
        if quantities.max is not None and least > quantities.max:
            message = f"{name} can be on no cluster: on at least {least} and at most {quantities.max} nodes"
            yield Finding(template, at, message)
        elif most is not None and least > most:
            message = f"{name} can be on no cluster: on at least {least} nodes, and the template has at most {most}"
            yield Finding(template, (*at, "min"), message)
