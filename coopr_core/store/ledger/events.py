"""Notes of what happened to a cluster, written in the transaction in which it happens.

Promise: a change and its note are both there or both not. Costs one insert.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from coopr_core.model.origin import origin
from coopr_core.store.schema import events

CLUSTER_RECORDED = "cluster.recorded"
JOB_STARTED = "job.started"
JOB_RESUMED = "job.resumed"
JOB_PAUSED = "job.paused"
JOB_ABORTING = "job.aborting"
JOB_ENDED = "job.ended"
LEASE_CHANGED = "lease.changed"
LEASE_WARNED = "lease.warned"
PROTECTION_CHANGED = "protection.changed"


def note(connection: Connection, cluster: int, event: str, *, job: int | None = None, **details: Any) -> None:
    """Write down that ``event`` happened to the cluster now, by whom and from where; ``details`` must be JSON."""
    who = origin()
    values = {
        "cluster": cluster,
        "time": datetime.now(UTC),
        "event": event,
        "job": job,
        "by": who.by,
        "via": who.via,
        "details": details,
    }
    connection.execute(insert(events).values(values))
