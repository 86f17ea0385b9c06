"""The store's nodes: what machine each has, with the intent written before the effect.

Promise: from the moment a machine may exist, its node says so (REQUESTED, with the token the machine is tagged with),
whatever is killed when; asking twice for one machine gives one token. Statements are put together once: that costs more
than running them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import NotFound
from coopr_core.model.placement import Alternative
from coopr_core.model.quotas import Holding
from coopr_core.model.records import NodeRecord
from coopr_core.model.states import WITHOUT_MACHINE, NodeState
from coopr_core.store.database import Database
from coopr_core.store.ledger.machines import machine_since, machine_there, machines_gone
from coopr_core.store.ledger.reservation import reserve
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import Row, cluster_key, node_record
from coopr_core.store.schema import clusters, nodes

_THIS_NODE = (nodes.c.cluster == bindparam("of_cluster"), nodes.c.number == bindparam("of_node"))
_FIND = select(nodes).where(*_THIS_NODE)
_FIND_LOCKED = _FIND.with_for_update()
_INTEND = update(nodes).where(*_THIS_NODE, nodes.c.token == "").returning(nodes.c.token)
_CHANGE = update(nodes).where(*_THIS_NODE).returning(*nodes.c)


class Nodes:
    """The part of the store that keeps nodes and their machines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def nodes(self, cluster_id: str) -> list[NodeRecord]:
        """Return the cluster's nodes in number order."""
        query = select(nodes).where(nodes.c.cluster == cluster_key(cluster_id)).order_by(nodes.c.number)
        with self._database.read() as connection:
            find_cluster(connection, cluster_id, clusters.c.id)
            return [node_record(dict(row)) for row in connection.execute(query).mappings()]

    def node(self, cluster_id: str, number: int) -> NodeRecord:
        """Return one node. Raises ``NotFound``."""
        with self._database.read() as connection:
            return node_record(_find(connection, cluster_id, number))

    def intend_machine(self, cluster_id: str, number: int) -> str:
        """Write down, for good, that a machine is about to be asked for; its idempotency token.

        The same token comes back until the machine is recorded as gone (``record_machine`` with None).
        """
        key = _key(cluster_id, number)
        token = _new_token(cluster_id, number)
        values = {"token": token, "state": NodeState.REQUESTED.value, "machine": None}
        with self._database.write(durable=True) as connection:
            if connection.execute(_INTEND, {**key, **values}).scalar_one_or_none() is None:
                token = str(_find(connection, cluster_id, number)["token"])
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
            row = connection.execute(_CHANGE, {**_key(cluster_id, number), **values}).mappings().one_or_none()
            if row is None:
                raise _no_node(cluster_id, number)
            if values["machine"] is not None:
                machine_there(connection, row, str(values["machine"].get("provider_id", "")))
            elif state in WITHOUT_MACHINE:
                machines_gone(connection, row["cluster"], row["number"])
            return node_record(row)

    def place_elsewhere(self, cluster_id: str, number: int, other: Alternative) -> NodeRecord:
        """Write down, for good, that the node's machine is about to be asked for in another place.

        It gets another token, for a token stands for one request; the place it leaves becomes an alternative. Raises
        ``OverQuota`` when the tenant may not have it at its price there; nothing is changed then.
        """
        with self._database.write(durable=True) as connection:
            row = _find(connection, cluster_id, number, lock=True)
            dearer = (other.price or 0.0) - (row["price"] or 0.0)
            tenant = connection.execute(select(clusters.c.tenant).where(clusters.c.id == row["cluster"])).scalar_one()
            reserve(connection, tenant, Holding(price=max(0.0, dearer)))
            chosen = other.to_json()
            left = {"placement": row["placement"], "price": row["price"]}
            values = {
                **chosen,
                "alternatives": [*(each for each in row["alternatives"] if each != chosen), left],
                "token": _new_token(cluster_id, number),
                "state": NodeState.REQUESTED,
                "machine": None,
            }
            return node_record(connection.execute(_CHANGE, {**_key(cluster_id, number), **values}).mappings().one())

    def machine_since(self, cluster_id: str, number: int) -> datetime | None:
        """Return when the node's machine was recorded, from the provider's answer on; None when it has none."""
        with self._database.read() as connection:
            return machine_since(connection, cluster_key(cluster_id), number)

    def record_properties(self, cluster_id: str, number: int, properties: Mapping[str, Any]) -> None:
        """Merge what a task reported into the node's properties."""
        with self._database.write() as connection:
            row = _find(connection, cluster_id, number, lock=True)
            merged = {"properties": {**row["properties"], **properties}}
            connection.execute(_CHANGE, {**_key(cluster_id, number), **merged})


def _new_token(cluster_id: str, number: int) -> str:
    return f"{cluster_id}-{number}-{secrets.token_hex(6)}"


def _key(cluster_id: str, number: int) -> dict[str, Any]:
    """Return the values of ``_THIS_NODE``."""
    return {"of_cluster": cluster_key(cluster_id), "of_node": number}


def _find(connection: Connection, cluster_id: str, number: int, *, lock: bool = False) -> Row:
    found = connection.execute(_FIND_LOCKED if lock else _FIND, _key(cluster_id, number))
    row = found.mappings().one_or_none()
    if row is None:
        raise _no_node(cluster_id, number)
    return row


def _no_node(cluster_id: str, number: int) -> NotFound:
    return NotFound(f"Cluster {cluster_id} has no node {number}", hint="`coopr show` lists its nodes.")
