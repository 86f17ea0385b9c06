"""The store's nodes: what machine each has, with the intent written before the effect.

Promise: from the moment a machine may exist, its node says so (REQUESTED, with the token the machine is tagged with),
whatever is killed when; asking twice for one machine gives one token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import NotFound
from coopr_core.model.records import NodeRecord
from coopr_core.model.states import WITHOUT_MACHINE, NodeState
from coopr_core.store.clusters import find_cluster
from coopr_core.store.database import Database
from coopr_core.store.ledger.machines import machine_since, machine_there, machines_gone
from coopr_core.store.rows import Row, cluster_key, node_record
from coopr_core.store.schema import clusters, nodes


class Nodes:
    """The part of the store that keeps nodes and their machines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def nodes(self, cluster_id: str) -> list[NodeRecord]:
        """The cluster's nodes in number order."""
        query = select(nodes).where(nodes.c.cluster == cluster_key(cluster_id)).order_by(nodes.c.number)
        with self._database.read() as connection:
            find_cluster(connection, cluster_id, clusters.c.id)
            return [node_record(dict(row)) for row in connection.execute(query).mappings()]

    def node(self, cluster_id: str, number: int) -> NodeRecord:
        """One node. Raises ``NotFound``."""
        with self._database.read() as connection:
            return node_record(_find(connection, cluster_id, number))

    def intend_machine(self, cluster_id: str, number: int) -> str:
        """Write down, for good, that a machine is about to be asked for; its idempotency token.

        The same token comes back until the machine is recorded as gone (``record_machine`` with None).
        """
        with self._database.write(durable=True) as connection:
            row = _find(connection, cluster_id, number, lock=True)
            if row["token"]:
                return str(row["token"])
            token = f"{cluster_id}-{number}-{secrets.token_hex(6)}"
            _update(connection, row, {"token": token, "state": NodeState.REQUESTED, "machine": None})
            return token

    def record_machine(
        self, cluster_id: str, number: int, machine: Mapping[str, Any] | None, state: NodeState
    ) -> NodeRecord:
        """Write down what machine the node has now; None when it has none.

        ``machine`` is ``Machine.to_json()``. A state without a machine (PLANNED, DELETED) clears the token too, so
        that the next machine gets a new one.
        """
        values: dict[str, Any] = {"machine": dict(machine) if machine is not None else None, "state": state}
        if state in WITHOUT_MACHINE:
            values = {"machine": None, "state": state, "token": "", "properties": {}}
        with self._database.write(durable=True) as connection:
            row = _find(connection, cluster_id, number, lock=True)
            _update(connection, row, values)
            if values["machine"] is not None:
                machine_there(connection, row, str(values["machine"].get("provider_id", "")))
            elif state in WITHOUT_MACHINE:
                machines_gone(connection, row["cluster"], row["number"])
            return node_record({**row, **values})

    def machine_since(self, cluster_id: str, number: int) -> datetime | None:
        """When the machine that the node has now was recorded, from the provider's answer on; None when it has none."""
        with self._database.read() as connection:
            return machine_since(connection, cluster_key(cluster_id), number)

    def record_properties(self, cluster_id: str, number: int, properties: Mapping[str, Any]) -> None:
        """Merge what a task reported into the node's properties."""
        with self._database.write() as connection:
            row = _find(connection, cluster_id, number, lock=True)
            _update(connection, row, {"properties": {**row["properties"], **properties}})


def _find(connection: Connection, cluster_id: str, number: int, *, lock: bool = False) -> Row:
    query = select(nodes).where(nodes.c.cluster == cluster_key(cluster_id), nodes.c.number == number)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"Cluster {cluster_id} has no node {number}", hint="`coopr show` lists its nodes.")
    return dict(row)


def _update(connection: Connection, row: Row, values: Mapping[str, Any]) -> None:
    same = (nodes.c.cluster == row["cluster"], nodes.c.number == row["number"])
    connection.execute(update(nodes).where(*same).values(**values))
