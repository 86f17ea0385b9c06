"""The indexes of the store's tables, and with them what must never happen.

Promise: the database itself forbids two living clusters of one name in a tenant, and two jobs holding one cluster. Read
by migrations only, apart from the tables because naming PostgreSQL's partial indexes imports all of its dialect.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from coopr_core.store.schema import clusters, jobs, machines, tasks

_LIVING = text("state <> 'TERMINATED'")
_HOLDING = text("state IN ('RUNNING', 'PAUSED', 'ABORTING')")

one_living_cluster_per_name = Index(
    "uq_clusters_living_name",
    clusters.c.tenant,
    clusters.c.name,
    unique=True,
    sqlite_where=_LIVING,
    postgresql_where=_LIVING,
)

one_job_per_cluster = Index(
    "uq_jobs_holding_cluster", jobs.c.cluster, unique=True, sqlite_where=_HOLDING, postgresql_where=_HOLDING
)

progress_of_a_job = Index("ix_tasks_progress", tasks.c.cluster, tasks.c.job, tasks.c.state, tasks.c.stage)

machines_of_a_node = Index("ix_machines_node", machines.c.cluster, machines.c.node)
