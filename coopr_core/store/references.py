"""Which cluster a person means by a word: its id, or its name.

Promise: an id means one cluster for ever. Digits are an id before they are a name, also that of a deleted cluster or
of another tenant's; an id as we write it (eight digits or more) is never a name.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from coopr_core.errors import NotFound
from coopr_core.model import ids
from coopr_core.model.states import ClusterState
from coopr_core.store.rows import LARGEST, Row, cluster_key
from coopr_core.store.schema import clusters, nodes
from coopr_core.suggestions import did_you_mean, near
from coopr_core.text_form import forms

LIVING = clusters.c.state != ClusterState.TERMINATED
LISTED = [c for c in clusters.c if c.name not in ("request", "template", "config", "services", "links")]
"""What a record of a cluster is made of."""

_MOST_NODES = 2000
"""On how many nodes a service is looked for that may have been meant."""

_ID_DIGITS = 8
"""An id as we write it has at least so many digits."""


def referred(connection: Connection, ref: str, tenant: str, *, terminated: bool) -> Row:
    """Return the row of the cluster with the id ``ref``, or called so; ``terminated``: a deleted one will do.

    Raises ``NotFound`` with the nearest names.
    """
    number = ids.cluster_number(ref)
    if number is not None:
        found = _with_number(connection, number)
        if found is not None and found["tenant"] == tenant and (terminated or _lives(found)):
            return found
        if found is not None or len(ref) >= _ID_DIGITS:
            raise _no_such_number(connection, ref, found, tenant)
    row = called(connection, ref, tenant, terminated=terminated)
    if row is None:
        raise _unknown(connection, ref, tenant)
    return row


def called(connection: Connection, name: str, tenant: str, *, terminated: bool) -> Row | None:
    """Return the living cluster of that name, in whatever Unicode form; else the newest deleted one if that will do."""
    query = select(*LISTED).where(clusters.c.tenant == tenant, clusters.c.name.in_(forms(name)))
    if not terminated:
        query = query.where(LIVING)
    order = (LIVING.desc(), (clusters.c.name == name).desc(), clusters.c.id.desc())
    row = connection.execute(query.order_by(*order).limit(1)).mappings().first()
    return None if row is None else dict(row)


def _with_number(connection: Connection, number: int) -> Row | None:
    if number > LARGEST:
        return None
    row = connection.execute(select(*LISTED).where(clusters.c.id == number)).mappings().first()
    return None if row is None else dict(row)


def _lives(cluster: Row) -> bool:
    return bool(cluster["state"] != ClusterState.TERMINATED)


def _no_such_number(connection: Connection, ref: str, found: Row | None, tenant: str) -> NotFound:
    """Return the error for an id that is none of the tenant's living clusters'."""
    namesake = called(connection, ref, tenant, terminated=False)
    hint = "`coopr list` shows the clusters there are."
    if namesake is not None:
        hint = f"The cluster that is called {ref!r} has the id {ids.cluster_id(namesake['id'])}: name it by that."
    if found is not None and found["tenant"] == tenant:
        return NotFound(f"Cluster {found['name']} ({ids.cluster_id(found['id'])}) is deleted", hint=hint)
    return NotFound(f"There is no cluster {ref!r}", hint=hint)


def _unknown(connection: Connection, ref: str, tenant: str) -> NotFound:
    """Return the error for a name that no cluster of the tenant has."""
    if ids.is_task_id(ref):
        job = ids.parse_task_id(ref)[0]
        hint = f"That is the id of a task, of cluster {ids.parse_job_id(job)[0]}: `coopr logs {ref}` shows its log."
    elif ids.is_job_id(ref):
        cluster = ids.parse_job_id(ref)[0]
        hint = f"That is the id of a job, of cluster {cluster}: `coopr tasks {cluster} --job {ref}` lists its tasks."
    else:
        names = connection.execute(select(clusters.c.name).where(clusters.c.tenant == tenant, LIVING)).scalars()
        hint = did_you_mean(ref, names) or _meant_service(connection, ref, tenant)
        hint = hint or "`coopr list` shows the clusters there are."
    return NotFound(f"There is no cluster {ref!r}", hint=hint)


def _meant_service(connection: Connection, ref: str, tenant: str) -> str:
    """Return the hint for a service given where a cluster is wanted (``coopr restart webapp-app``); else ""."""
    query = select(clusters.c.name, nodes.c.services).join(nodes, nodes.c.cluster == clusters.c.id)
    rows = connection.execute(query.where(clusters.c.tenant == tenant, LIVING).limit(_MOST_NODES)).all()
    homes = {service: cluster for cluster, services in rows for service in services}
    return next(
        (
            f'did you mean service "{service}" of cluster {homes[service]}? A cluster is named before its services.'
            for service in near(ref, homes)
        ),
        "",
    )


def find_cluster(connection: Connection, cluster_id: str, *columns: Any, lock: bool = False) -> Row:
    """Return the row of a cluster by id; ``lock`` holds it until the transaction ends. Raises ``NotFound``."""
    query = select(*(columns or LISTED)).where(clusters.c.id == cluster_key(cluster_id))
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no cluster {cluster_id}", hint="`coopr list --all --deleted` shows every cluster.")
    return dict(row)
