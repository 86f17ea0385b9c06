"""When each machine came and went, written with the node's own change of state; what usage and cost are counted from.

Promise: a machine counts from the moment the provider's answer was recorded until its deletion was, whatever becomes of
its node or of the cluster's record. Costs a look-up per change.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from coopr_core.store.rows import Row
from coopr_core.store.schema import clusters, machines


def machine_there(connection: Connection, node: Row, provider_id: str) -> None:
    """The node (its row) has this machine now; a different one it had before is gone."""
    cluster, number = node["cluster"], node["number"]
    present = (machines.c.cluster == cluster, machines.c.node == number, machines.c.deleted.is_(None))
    known = connection.execute(select(machines.c.provider_id).where(*present)).scalars().all()
    if provider_id in known:
        return
    machines_gone(connection, cluster, number)
    columns = (clusters.c.name, clusters.c.tenant, clusters.c.owner, clusters.c.provider)
    owner = connection.execute(select(*columns).where(clusters.c.id == cluster)).mappings().one()
    values = {
        "cluster": cluster,
        "node": number,
        "cluster_name": owner["name"],
        "tenant": owner["tenant"],
        "owner": owner["owner"],
        "provider": owner["provider"],
        "provider_id": provider_id,
        "hardware_type": node["hardware_type"],
        "price": node["price"],
        "created": datetime.now(UTC),
    }
    connection.execute(insert(machines).values(values))


def machine_since(connection: Connection, cluster: int, node: int) -> datetime | None:
    """Since when the node has the machine it has; None when it has none."""
    present = (machines.c.cluster == cluster, machines.c.node == node, machines.c.deleted.is_(None))
    since: datetime | None = connection.execute(select(machines.c.created).where(*present)).scalar()
    return since


def machines_gone(connection: Connection, cluster: int, node: int | None = None) -> None:
    """The node, or every node of the cluster, has no machine any more."""
    present = [machines.c.cluster == cluster, machines.c.deleted.is_(None)]
    if node is not None:
        present.append(machines.c.node == node)
    connection.execute(update(machines).where(*present).values(deleted=datetime.now(UTC)))
