"""The store's quotas: what each tenant may have at once, and what it has."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import delete, insert, select

from coopr_core.errors import InvalidInput
from coopr_core.model.quotas import Holding, Quota, check_quota
from coopr_core.model.states import ClusterState
from coopr_core.store.database import Database
from coopr_core.store.ledger.reservation import find_holding, find_quota
from coopr_core.store.schema import clusters, quotas


class Quotas:
    """The part of the store that keeps quotas; ``reservation`` refuses what exceeds one, where it is recorded."""

    _database: Database

    def quota(self, tenant: str) -> Quota:
        """Return the tenant's quota; without limits when none was set."""
        with self._database.read() as connection:
            return find_quota(connection, tenant)

    def holding(self, tenant: str) -> Holding:
        """Return what the tenant's living clusters have together."""
        with self._database.read() as connection:
            return find_holding(connection, tenant)

    def tenants(self) -> list[str]:
        """Every tenant that has a living cluster or a quota, by name."""
        living = select(clusters.c.tenant).where(clusters.c.state != ClusterState.TERMINATED)
        with self._database.read() as connection:
            return sorted(
                {
                    *connection.execute(living.distinct()).scalars(),
                    *connection.execute(select(quotas.c.tenant)).scalars(),
                }
            )

    def set_quota(self, tenant: str, quota: Quota) -> None:
        """Limit the tenant from now on, or lift its limits with ``Quota()``; what it has already may exceed them.

        Raises ``InvalidInput`` for a negative limit.
        """
        limits = asdict(quota)
        for name, limit in limits.items():
            if limit is not None and not 0 <= limit < float("inf"):
                raise InvalidInput(f"A quota of {limit} {name} makes no sense", hint="Limits are numbers from 0 up.")
        with self._database.write(durable=True) as connection:
            connection.execute(delete(quotas).where(quotas.c.tenant == tenant))
            if quota.limits:
                connection.execute(insert(quotas).values(tenant=tenant, **limits))

    def check_quota(self, tenant: str, wants: Holding) -> None:
        """Raise ``OverQuota`` if the tenant could not have ``wants`` now; nothing is reserved."""
        with self._database.read() as connection:
            quota = find_quota(connection, tenant)
            if quota.limits:
                check_quota(tenant, quota, find_holding(connection, tenant), wants)
