"""When each machine came and went, written with the node's own change of state; what usage and cost are counted from.

Promise: a machine counts from the moment the provider's answer was recorded until its deletion was, whatever becomes of
its node or of the cluster's record. Costs a look-up per change.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from coopr_core.store.rows import Row, now
from coopr_core.store.schema import clusters, machines

_OF_NODE = (machines.c.cluster == bindparam("of_cluster"), machines.c.node == bindparam("of_node"))
_PRESENT = machines.c.deleted.is_(None)
_KNOWN = select(machines.c.provider_id).where(*_OF_NODE, _PRESENT)
_SINCE = select(machines.c.created).where(*_OF_NODE, _PRESENT)
_OF_ITS_CLUSTER = {
    "cluster_name": clusters.c.name,
    "tenant": clusters.c.tenant,
    "owner": clusters.c.owner,
}
_OF_ITS_NODE = ("cluster", "node", "provider", "provider_id", "hardware_type", "price", "created")
_COME = insert(machines).from_select(
    [*_OF_ITS_CLUSTER, *_OF_ITS_NODE],
    select(
        *_OF_ITS_CLUSTER.values(),
        *(bindparam(f"its_{name}", type_=machines.c[name].type) for name in _OF_ITS_NODE),
    ).where(clusters.c.id == bindparam("of_cluster")),
)


def machine_there(connection: Connection, node: Row, provider_id: str) -> None:
    """Note that the node (its row) has this machine now; a different one it had before is gone."""
    this = {"of_cluster": node["cluster"], "of_node": node["number"]}
    known = connection.execute(_KNOWN, this).scalars().all()
    if provider_id in known:
        return
    if known:
        machines_gone(connection, node["cluster"], node["number"])
    values = {
        "its_cluster": node["cluster"],
        "its_node": node["number"],
        "its_provider": node["placement"]["provider"],
        "its_provider_id": provider_id,
        "its_hardware_type": node["placement"]["hardware_type"],
        "its_price": node["price"],
        "its_created": now(),
    }
    connection.execute(_COME, {"of_cluster": node["cluster"], **values})


def machine_since(connection: Connection, cluster: int, node: int) -> datetime | None:
    """Return since when the node has the machine it has; None when it has none."""
    since: datetime | None = connection.execute(_SINCE, {"of_cluster": cluster, "of_node": node}).scalar()
    return since


def machines_gone(connection: Connection, cluster: int, node: int | None = None) -> None:
    """Note that the node, or every node of the cluster, has no machine any more."""
    present = [machines.c.cluster == cluster, machines.c.deleted.is_(None)]
    if node is not None:
        present.append(machines.c.node == node)
    connection.execute(update(machines).where(*present).values(deleted=now()))
