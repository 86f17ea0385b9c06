"""What a cluster is made of, changed in the transaction that starts the job which makes it so.

Promise: config, services and template on record are those of the cluster's last job from its first moment, so a job
that failed can be run again; and a change that was worked out before another job came in between is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import update
from sqlalchemy.engine import Connection

from coopr_core.errors import Busy
from coopr_core.store.rows import Row, job_id
from coopr_core.store.schema import clusters, nodes

if TYPE_CHECKING:
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.cluster.layout import ClusterLayout
    from coopr_core.cluster.request import ClusterRequest


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """What is to be written: the layout's services, config and links, and on which of the nodes there services are.

    ``seen_job`` is the id of the cluster's last job when the change was worked out.
    """

    layout: ClusterLayout
    request: ClusterRequest
    template: ClusterTemplate
    seen_job: str | None


def write_change(connection: Connection, cluster: Row, change: ClusterChange) -> None:
    """Write the change of a cluster whose row is locked. Raises ``Busy`` when another job was there in between."""
    last = job_id(cluster["id"], cluster["last_job"]) if cluster["last_job"] else None
    if change.seen_job != last:
        raise Busy(
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
    }
    connection.execute(update(clusters).where(clusters.c.id == cluster["id"]).values(values))
    for node in layout.nodes:
        here = (nodes.c.cluster == cluster["id"], nodes.c.number == node.number)
        connection.execute(update(nodes).where(*here).values(services=list(node.services)))
