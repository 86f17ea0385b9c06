"""Reserving what a tenant's quota allows, in the transaction that makes a cluster or lets it grow (rule D15).

Promise: however many processes ask at once, what all living clusters of a tenant have together never exceeds its quota.
The quota's row is locked until the transaction ends (on SQLite the whole database is). Costs one look-up for a tenant
without a quota, two sums for one with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from coopr_core.model.quotas import Holding, Quota, check_quota
from coopr_core.model.states import ClusterState
from coopr_core.store.schema import clusters, nodes, quotas


class Priced(Protocol):
    """What a quota needs to know of a node."""

    @property
    def price(self) -> float | None:
        """What it costs an hour."""


def taken_by(added: Iterable[Priced], *, clusters: int = 0) -> Holding:
    """Return what these nodes, and that many clusters, take of a quota."""
    prices = [node.price or 0.0 for node in added]
    return Holding(clusters=clusters, nodes=len(prices), price=sum(prices))


def reserve(connection: Connection, tenant: str, wants: Holding) -> None:
    """Raise ``OverQuota`` unless the tenant may have ``wants`` besides what it has.

    To be called before the rows of what is wanted are written, in the same transaction: then they are the reservation.
    """
    quota = find_quota(connection, tenant, lock=True)
    if quota.limits:
        check_quota(tenant, quota, find_holding(connection, tenant), wants)


def find_quota(connection: Connection, tenant: str, *, lock: bool = False) -> Quota:
    """Return the tenant's quota, without limits when none was set; ``lock`` holds it until the transaction ends."""
    query = select(quotas).where(quotas.c.tenant == tenant)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return Quota() if row is None else Quota(row["clusters"], row["nodes"], row["price"])


def find_holding(connection: Connection, tenant: str) -> Holding:
    """Return what the tenant's living clusters are laid out to have together, with or without their machines."""
    mine = (clusters.c.tenant == tenant, clusters.c.state != ClusterState.TERMINATED)
    count = connection.execute(select(func.count()).select_from(clusters).where(*mine)).scalar_one()
    query = select(func.count(), func.coalesce(func.sum(nodes.c.price), 0.0)).where(
        nodes.c.cluster.in_(select(clusters.c.id).where(*mine))
    )
    number, price = connection.execute(query).one()
    return Holding(clusters=count, nodes=number, price=float(price))
