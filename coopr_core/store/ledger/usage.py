"""The store's account of what was used: machine-hours and their cost in a span of time, for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import or_, select

from coopr_core.errors import InvalidInput
from coopr_core.model.ids import cluster_id
from coopr_core.store.database import Database
from coopr_core.store.rows import Row
from coopr_core.store.schema import machines

Grouping = Literal["tenant", "owner", "cluster"]
"""Whom usage is counted for; an owner and a cluster count apart in each tenant."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one tenant, owner or cluster used; what does not apply to a group is empty.

    ``nodes`` counts machines, ``node_hours`` how long they were there in sum, ``cost`` is that times their prices.
    """

    tenant: str
    owner: str
    cluster: str
    cluster_id: str
    clusters: int
    nodes: int
    node_hours: float
    cost: float


class Usage:
    """The part of the store that counts machine-hours."""

    _database: Database

    def usage(self, start: datetime, end: datetime, *, by: Grouping = "tenant") -> list[UsageRecord]:
        """Return what was used from ``start`` until before ``end``, by tenant, owner or cluster, sorted by their names.

        A machine that is still there counts until now. Raises ``InvalidInput`` when the span is empty.
        """
        if end <= start:
            raise InvalidInput(f"No time lies from {start} until {end}", hint="--from must be earlier than --to")
        latest = min(end, datetime.now(UTC))
        overlapping = (machines.c.created < end, or_(machines.c.deleted.is_(None), machines.c.deleted > start))
        groups: dict[tuple[str, ...], list[Row]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(machines).where(*overlapping)).mappings():
                groups.setdefault(_group(row, by), []).append(row)
        return [_counted(group, rows, start, latest) for group, rows in sorted(groups.items())]


def _group(row: Row, by: Grouping) -> tuple[str, ...]:
    """Tenant, owner, cluster and its id, as far as they make up the group."""
    parts = (row["tenant"], row["owner"], row["cluster_name"], cluster_id(row["cluster"]))
    return {"tenant": parts[:1], "owner": parts[:2], "cluster": parts}[by]


def _counted(group: tuple[str, ...], rows: Sequence[Row], start: datetime, end: datetime) -> UsageRecord:
    hours = [_hours(row, start, end) for row in rows]
    tenant, owner, cluster, number = (*group, "", "", "")[:4]
    return UsageRecord(
        tenant=tenant,
        owner=owner,
        cluster=cluster,
        cluster_id=number,
        clusters=len({row["cluster"] for row in rows}),
        nodes=len(rows),
        node_hours=sum(hours),
        cost=sum(each * (row["price"] or 0.0) for each, row in zip(hours, rows, strict=True)),
    )


def _hours(row: Row, start: datetime, end: datetime) -> float:
    """How long the machine was there within the span."""
    there: timedelta = min(row["deleted"] or end, end) - max(row["created"], start)
    return max(0.0, there.total_seconds()) / 3600
