"""Quotas: how many clusters and nodes a tenant may have at once, and what they may cost an hour together.

Pure: the numbers come in, the verdict goes out. A limit of None is no limit. Prices are in the currency of the
catalog's hardware types; a node without a price costs nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from coopr_core.errors import OverQuota

_TOLERANCE = 1e-9
"""Sums of prices may differ by this much from what they should be."""

_UNITS = {"clusters": "clusters", "nodes": "nodes", "price": "an hour"}


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have at once; None is without a limit. ``price`` is per hour."""

    clusters: int | None = None
    nodes: int | None = None
    price: float | None = None

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, field.name) is not None for field in fields(self))


@dataclass(frozen=True, slots=True)
class Holding:
    """What a tenant has, or what something more would take: clusters, nodes, and their price per hour."""

    clusters: int = 0
    nodes: int = 0
    price: float = 0.0

    def __sub__(self, other: Holding) -> Holding:
        """Return what is left of it without ``other``; below nothing where ``other`` has more."""
        return Holding(self.clusters - other.clusters, self.nodes - other.nodes, self.price - other.price)


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that would be exceeded: ``what`` is ``clusters``, ``nodes`` or ``price``."""

    what: str
    limit: float
    has: float
    wants: float

    def __str__(self) -> str:
        return (
            f"{self.what}: {_number(self.limit)} {_UNITS[self.what]} allowed, "
            f"{_number(self.has)} in use, {_number(self.wants)} more wanted"
        )


class TenantOverQuota(OverQuota):
    """A tenant's quota does not allow what was asked for; ``excess`` has the numbers."""

    def __init__(self, tenant: str, excess: tuple[Excess, ...]) -> None:
        super().__init__(
            f"Tenant {tenant} would exceed its quota: {'; '.join(str(each) for each in excess)}",
            hint="Delete a cluster, ask for fewer or cheaper nodes, or raise the quota with `coopr quota`.",
        )
        self.excess = excess

    def to_json(self) -> dict[str, Any]:
        """Return the error with its numbers."""
        return {**super().to_json(), "excess": [asdict(each) for each in self.excess]}


def check_quota(tenant: str, quota: Quota, has: Holding, wants: Holding) -> None:
    """Raise ``TenantOverQuota`` when the tenant, having ``has``, may not have ``wants`` besides.

    What does not grow is not looked at: who is over quota already may still change what costs nothing more.
    """
    excess = []
    for field in fields(Quota):
        limit, used, more = getattr(quota, field.name), getattr(has, field.name), getattr(wants, field.name)
        if limit is not None and more > 0 and used + more > limit + _TOLERANCE:
            excess.append(Excess(field.name, limit, used, more))
    if excess:
        raise TenantOverQuota(tenant, tuple(excess))


def _number(value: float) -> str:
    return f"{round(value, 4):g}"
