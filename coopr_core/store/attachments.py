"""What providers made for clusters beside their machines, or are about to make: key pairs, security groups.

Promise: a thing is on record from before it may exist until it is released, whatever is killed when.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from coopr_core.store.database import Database
from coopr_core.store.rows import cluster_key
from coopr_core.store.schema import attached


class Attachments:
    """The part of the store that keeps what is attached to clusters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_attached(self, cluster_id: str, provider: str, thing: Mapping[str, Any]) -> None:
        """Write down, for good, a thing that is about to be made, or what is known of it by now.

        ``thing`` is ``Attached.to_json()``; ``provider`` the catalog's name.
        """
        key = {
            "cluster": cluster_key(cluster_id),
            "provider": provider,
            "kind": str(thing["kind"]),
            "name": str(thing["name"]),
        }
        here = [attached.c[name] == value for name, value in key.items()]
        with self._database.write(durable=True) as connection:
            if not connection.execute(update(attached).where(*here).values(thing=dict(thing))).rowcount:
                values = {**key, "thing": dict(thing), "recorded": datetime.now(UTC)}
                connection.execute(insert(attached).values(values))

    def attached(self, cluster_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what is attached to a cluster, each with its provider, in the order it was recorded."""
        query = select(attached.c.provider, attached.c.thing).where(attached.c.cluster == cluster_key(cluster_id))
        with self._database.read() as connection:
            ordered = query.order_by(attached.c.recorded, attached.c.name)
            return [(provider, dict(thing)) for provider, thing in connection.execute(ordered)]

    def forget_attached(self, cluster_id: str, provider: str, kind: str, name: str) -> None:
        """Drop the record of a thing that is released."""
        here = (
            attached.c.cluster == cluster_key(cluster_id),
            attached.c.provider == provider,
            attached.c.kind == kind,
            attached.c.name == name,
        )
        with self._database.write(durable=True) as connection:
            connection.execute(delete(attached).where(*here))
