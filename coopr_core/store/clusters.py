"""The store's clusters: made with their nodes in one transaction, found by name or id, kept as history when deleted.

Promise: a cluster's layout, template and request are given back as they were when it was made, whatever the catalog
says today. Listing reads none of those, and imports no pydantic model.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from coopr_core.errors import InvalidInput, NameTaken, Refused
from coopr_core.model import ids
from coopr_core.model.facts import ClusterFacts
from coopr_core.model.names import id_like_problem, name_nodes
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState, NodeState
from coopr_core.store.database import Database
from coopr_core.store.hosts import Hosts, next_id
from coopr_core.store.ledger.events import CLUSTER_RECORDED, note
from coopr_core.store.ledger.reservation import reserve, taken_by
from coopr_core.store.references import LISTED, LIVING, called, find_cluster, referred
from coopr_core.store.rows import Row, cluster_key, cluster_record, fact_values, handle, now
from coopr_core.store.schema import clusters, nodes

if TYPE_CHECKING:
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.model.layout import ClusterLayout, Node
    from coopr_core.model.request import ClusterRequest

OWN = ""
"""As a tenant: the one the store was opened for."""


class Clusters:
    """The part of the store that keeps clusters and what they were made of."""

    def __init__(self, database: Database, tenant: str = "default") -> None:
        self._database = database
        self.tenant = tenant

    def cluster(self, ref: str, *, tenant: str = OWN, terminated: bool = False) -> ClusterRecord:
        """Return the cluster with the id ``ref``, or called so; ``terminated``: a deleted one will do, the newest.

        Digits are an id before they are a name, also that of a deleted cluster or of another tenant's; an id as we
        write it (eight digits or more) is never a name. Raises ``NotFound`` with the nearest names.
        """
        with self._database.read() as connection:
            return cluster_record(referred(connection, ref, tenant or self.tenant, terminated=terminated))

    def called(self, name: str, *, tenant: str = OWN, terminated: bool = False) -> ClusterRecord | None:
        """Return the cluster of that name, which is never an id; ``terminated``: the newest deleted one will do."""
        with self._database.read() as connection:
            row = called(connection, name, tenant or self.tenant, terminated=terminated)
        return None if row is None else cluster_record(row)

    def cluster_with_id(self, cluster_id: str) -> ClusterRecord:
        """Return the cluster with that id, whichever tenant's and also when it is deleted. Raises ``NotFound``."""
        with self._database.read() as connection:
            return cluster_record(find_cluster(connection, cluster_id))

    def clusters(
        self,
        *,
        tenant: str | None = OWN,
        owner: str | None = None,
        terminated: bool = False,
        expired_at: datetime | None = None,
    ) -> list[ClusterRecord]:
        """Return the clusters, oldest first; ``tenant`` None: of all; ``expired_at``: whose lease is over by then."""
        query = select(*LISTED).order_by(clusters.c.id)
        if tenant is not None:
            query = query.where(clusters.c.tenant == (tenant or self.tenant))
        if owner is not None:
            query = query.where(clusters.c.owner == owner)
        if not terminated:
            query = query.where(LIVING)
        if expired_at is not None:
            query = query.where(clusters.c.expires_at <= expired_at)
        with self._database.read() as connection:
            return [cluster_record(dict(row)) for row in connection.execute(query).mappings()]

    def layout(self, cluster_id: str) -> ClusterLayout:
        """Return the cluster's layout, with its services as they were when it was made."""
        from coopr_core.catalog.entities import Link, Service
        from coopr_core.model.layout import ClusterLayout

        columns = [clusters.c[name] for name in ("template_name", "provider", "config", "services", "links")]
        query = select(nodes).where(nodes.c.cluster == cluster_key(cluster_id)).order_by(nodes.c.number)
        with self._database.read() as connection:
            row = find_cluster(connection, cluster_id, *columns)
            node_rows = connection.execute(query).mappings().all()
        return ClusterLayout(
            nodes=tuple(_node(node_row) for node_row in node_rows),
            services={name: Service.model_validate(value) for name, value in row["services"].items()},
            template=row["template_name"],
            provider=row["provider"],
            config=row["config"],
            links=tuple(Link.model_validate(link) for link in row["links"]),
        )

    def template(self, cluster_id: str) -> ClusterTemplate:
        """Return the cluster's template as it was when the cluster was made."""
        from coopr_core.catalog.entities import ClusterTemplate

        with self._database.read() as connection:
            return ClusterTemplate.model_validate(find_cluster(connection, cluster_id, clusters.c.template)["template"])

    def request(self, cluster_id: str) -> ClusterRequest:
        """Return what was asked for when the cluster was made."""
        from coopr_core.model.request import ClusterRequest

        with self._database.read() as connection:
            return ClusterRequest.recorded(find_cluster(connection, cluster_id, clusters.c.request)["request"])

    def next_cluster_id(self, name: str, suffix: str | None = None) -> str:
        """Return the id that a cluster called ``name`` would get if it were recorded now."""
        with self._database.read() as connection:
            return next_id(connection, name, suffix)

    def take_name(self, cluster_id: str, name: str) -> ClusterRecord:
        """Call the cluster ``name`` from now on.

        Raises ``InvalidInput`` while another living cluster has the name, or for one that looks like an id.
        """
        refuse_id_as_name(name)
        try:
            with self._database.write(durable=True) as connection:
                key = find_cluster(connection, cluster_id, lock=True)["id"]
                connection.execute(update(clusters).where(clusters.c.id == key).values(name=name, updated=now()))
                return cluster_record(find_cluster(connection, cluster_id))
        except IntegrityError:
            raise name_taken(name) from None

    def delete_cluster_record(self, cluster_id: str) -> None:
        """Forget a deleted cluster with its nodes, jobs, tasks and attempts. Raises ``Refused`` while it lives."""
        with self._database.write(durable=True) as connection:
            row = find_cluster(connection, cluster_id, lock=True)
            if row["state"] != ClusterState.TERMINATED:
                raise Refused(
                    f"Cluster {row['name']} ({cluster_id}) is {row['state']}: only a deleted cluster can be forgotten",
                    hint=f"`coopr delete {handle(row)}` first.",
                )
            connection.execute(delete(clusters).where(clusters.c.id == row["id"]))

    def purge(self, before: datetime) -> int:
        """Forget every cluster deleted before that time; how many those were."""
        with self._database.write(durable=True) as connection:
            condition = (clusters.c.state == ClusterState.TERMINATED, clusters.c.updated < before)
            count: int = connection.execute(select(func.count()).select_from(clusters).where(*condition)).scalar_one()
            connection.execute(delete(clusters).where(*condition))
            return count


def insert_cluster(
    connection: Connection,
    request: ClusterRequest,
    template: ClusterTemplate,
    layout: ClusterLayout,
    *,
    owner: str,
    tenant: str,
    expires_at: datetime | None,
    facts: ClusterFacts,
    name: str = "",
) -> Row:
    """Write a new cluster and its nodes; its row. Raises ``IntegrityError`` when the name is taken, ``OverQuota``.

    ``name`` is what it is called until it takes over the name of the request, which its nodes are named by.
    """
    time = now()
    values = {
        "name": name or request.name,
        "tenant": tenant,
        "owner": owner,
        "state": ClusterState.INCOMPLETE,
        "template_name": template.name,
        "provider": layout.provider,
        **fact_values(facts),
        "size": len(layout.nodes),
        "protected": False,
        "created": time,
        "updated": time,
        "expires_at": expires_at,
        "last_job": 0,
        "request": request.model_dump(mode="json", exclude_defaults=True),
        "template": template.model_dump(mode="json", exclude_defaults=True),
        "config": dict(layout.config),
        "services": {n: s.model_dump(mode="json", exclude_defaults=True) for n, s in layout.services.items()},
        "links": [link.model_dump(mode="json") for link in layout.links],
    }
    if called(connection, str(values["name"]), tenant, terminated=False) is not None:
        raise name_taken(str(values["name"]))
    reserve(connection, tenant, taken_by(layout.nodes, clusters=1))
    suffix = request.dns_suffix or template.defaults.dnsSuffix or None
    number = _insert_numbered(connection, values, Hosts(connection, request.name, suffix))
    cluster_id = ids.cluster_id(number)
    named = name_nodes(layout, request.name, cluster_id, suffix)
    if named.nodes:
        connection.execute(insert(nodes), [node_values(number, node) for node in named.nodes])
    note(connection, number, CLUSTER_RECORDED, owner=owner, tenant=tenant, nodes=len(named.nodes))
    return find_cluster(connection, cluster_id)


def _insert_numbered(connection: Connection, values: Mapping[str, Any], hosts: Hosts) -> int:
    """Write the cluster's row under the first id whose host names no living cluster has; the id."""
    while True:
        number: int = connection.execute(insert(clusters).values(values).returning(clusters.c.id)).scalar_one()
        if not hosts.clash(number):
            return number
        connection.execute(delete(clusters).where(clusters.c.id == number))


def name_taken(name: str) -> NameTaken:
    """Return the error for a name that a living cluster has."""
    return NameTaken(f"The cluster name {name!r} is taken", hint=f"Choose another, or `coopr delete {name}` first.")


def refuse_id_as_name(name: str) -> None:
    """Raise ``InvalidInput`` for a name that would be taken for an id."""
    if problem := id_like_problem(name):
        raise InvalidInput(problem, hint="Choose a name with a letter in it.")


def _node(row: Row) -> Node:
    from coopr_core.model.layout import Node
    from coopr_core.model.placement import Alternative, Placement

    return Node(
        number=row["number"],
        host_name=row["host_name"],
        placement=Placement.from_json(row["placement"]),
        services=tuple(row["services"]),
        ssh_user=row["ssh_user"],
        price=row["price"],
        alternatives=tuple(map(Alternative.from_json, row["alternatives"])),
    )


def node_values(cluster: int, node: Node) -> dict[str, Any]:
    """Return the row of a node that has no machine yet."""
    return {
        "cluster": cluster,
        "number": node.number,
        "state": NodeState.PLANNED,
        "host_name": node.host_name,
        "placement": node.placement.to_json(),
        "ssh_user": node.ssh_user,
        "price": node.price,
        "services": list(node.services),
        "token": "",
        "machine": None,
        "properties": {},
        "alternatives": [alternative.to_json() for alternative in node.alternatives],
    }
