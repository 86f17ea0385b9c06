"""What a cluster is made of, changed in the transaction that starts the job which makes it so.

Promise: config, services and template on record are those of the cluster's last job from its first moment, so a job
that failed can be run again; and a change that was worked out before another job came in between is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from coopr_core.errors import InvalidInput, Overtaken
from coopr_core.model.courses import Action
from coopr_core.model.states import WITHOUT_MACHINE, NodeState
from coopr_core.store.clusters import node_values
from coopr_core.store.hosts import owners
from coopr_core.store.ledger.reservation import reserve, taken_by
from coopr_core.store.rows import Row, job_id
from coopr_core.store.schema import clusters, nodes, tasks

if TYPE_CHECKING:
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.model.layout import ClusterLayout, Node
    from coopr_core.model.request import ClusterRequest

PLACEMENT = ("services", "placement", "ssh_user", "price", "alternatives")
"""What of a node's row says how its machine is made and what is on it."""


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """What is to be written: the layout's services, config, links and nodes.

    Nodes of the layout that the cluster does not have yet are added, and must have their final host names; what they
    take, and by how much the others become dearer, is reserved of the tenant's quota. Those it has that are not in the
    layout stay on record until the job has deleted them.
    ``seen_job`` is the id of the cluster's last job when the change was worked out; ``catalog`` are the folders that
    entities came from beside those the cluster has already.
    """

    layout: ClusterLayout
    request: ClusterRequest
    template: ClusterTemplate
    seen_job: str | None
    catalog: Sequence[str] = ()


def write_change(connection: Connection, cluster: Row, change: ClusterChange) -> None:
    """Write the change of a cluster whose row is locked. Raises ``Overtaken`` when another job was there in
    between, ``OverQuota`` when the tenant may not have the nodes that are added.
    """
    last = job_id(cluster["id"], cluster["last_job"]) if cluster["last_job"] else None
    if change.seen_job != last:
        raise Overtaken(
            f"Cluster {cluster['name']} was changed by job {last} while this change was prepared",
            hint="Look at it with `coopr show` and try again.",
        )
    layout = change.layout
    values = {
        "request": change.request.model_dump(mode="json", exclude_defaults=True),
        "template": change.template.model_dump(mode="json", exclude_defaults=True),
        "config": dict(layout.config),
        "services": {n: s.model_dump(mode="json", exclude_defaults=True) for n, s in layout.services.items()},
        "links": [link.model_dump(mode="json") for link in layout.links],
        "size": len(layout.nodes),
        "catalog": list(dict.fromkeys((*cluster["catalog"], *change.catalog))),
    }
    connection.execute(update(clusters).where(clusters.c.id == cluster["id"]).values(values))
    _write_nodes(connection, cluster, layout)


def _write_nodes(connection: Connection, cluster: Row, layout: ClusterLayout) -> None:
    """Write the rows of the nodes that are new or differ. Those that leave stay until their job has succeeded."""
    here = nodes.c.cluster == cluster["id"]
    columns = [nodes.c.number, *(nodes.c[name] for name in PLACEMENT)]
    known = {row["number"]: row for row in connection.execute(select(*columns).where(here)).mappings()}
    new = [node for node in layout.nodes if node.number not in known]
    dearer = sum(
        (node.price or 0.0) - (known[node.number]["price"] or 0.0) for node in layout.nodes if node.number in known
    )
    added = taken_by(new)
    reserve(connection, cluster["tenant"], replace(added, price=added.price + dearer))
    if new:
        _refuse_hosts_of_others(connection, cluster, new)
        connection.execute(insert(nodes), [node_values(cluster["id"], node) for node in new])
    for node in layout.nodes:
        if (row := known.get(node.number)) is None:
            continue
        values = {name: value for name, value in node_values(cluster["id"], node).items() if name in PLACEMENT}
        if any(row[name] != value for name, value in values.items()):
            connection.execute(update(nodes).where(here, nodes.c.number == node.number).values(values))


def _refuse_hosts_of_others(connection: Connection, cluster: Row, new: Sequence[Node]) -> None:
    """Raise ``InvalidInput`` when a new node's host name is another living cluster's."""
    taken = owners(connection, cluster["id"], [node.host_name for node in new if node.host_name])
    for host, owner in sorted(taken.items()):
        raise InvalidInput(
            f"a new node of cluster {cluster['name']} would be called {host}, as a node of cluster {owner} is",
            hint="Two machines of one name cannot be told apart: delete one of the clusters, or rebuild it.",
        )


def forget_made(connection: Connection, job: tuple[int, int]) -> bool:
    """Drop the nodes of a cluster that a job was to add and has rolled back; whether it touched one that stays.

    A cluster whose nodes are all new keeps them, as the record of what was wanted.
    """
    cluster, number = job
    of_job = (tasks.c.cluster == cluster, tasks.c.job == number)
    made = set(connection.execute(select(tasks.c.node).where(*of_job, tasks.c.action == Action.CREATE)).scalars())
    tried = set(connection.execute(select(tasks.c.node).where(*of_job, tasks.c.attempts > 0)).scalars())
    known = connection.execute(select(nodes.c.number).where(nodes.c.cluster == cluster)).scalars().all()
    kept = len(set(known) - made)
    if kept:
        gone = (nodes.c.cluster == cluster, nodes.c.number.in_(made), nodes.c.state.in_(WITHOUT_MACHINE))
        connection.execute(delete(nodes).where(*gone))
        request = connection.execute(select(clusters.c.request).where(clusters.c.id == cluster)).scalar_one()
        values = {"size": kept, "request": {**request, "size": kept}}
        connection.execute(update(clusters).where(clusters.c.id == cluster).values(values))
    return bool(tried - made)


def forget_left(connection: Connection, cluster: int) -> None:
    """Drop the nodes that a job has deleted from a cluster that goes on without them."""
    gone = (nodes.c.cluster == cluster, nodes.c.state == NodeState.DELETED)
    if connection.execute(delete(nodes).where(*gone)).rowcount:
        left = select(func.count()).select_from(nodes).where(nodes.c.cluster == cluster).scalar_subquery()
        connection.execute(update(clusters).where(clusters.c.id == cluster).values(size=left))
