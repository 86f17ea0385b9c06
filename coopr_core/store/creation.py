"""A cluster and its first job, recorded together.

Promise: there is never a cluster on record that nobody is making: whatever is killed when, either both are there or
neither, and a name that was refused reserves nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from coopr_core.model.facts import ClusterFacts
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord
from coopr_core.store.clusters import insert_cluster, name_taken, refuse_id_as_name
from coopr_core.store.database import Database
from coopr_core.store.jobs import Planned, insert_job
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import cluster_record

if TYPE_CHECKING:
    from coopr_core.catalog.entities import ClusterTemplate
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.model.request import ClusterRequest


class Creation:
    """The part of the store where clusters begin."""

    _database: Database
    tenant: str

    def begin_cluster(
        self,
        request: ClusterRequest,
        template: ClusterTemplate,
        layout: ClusterLayout,
        plan: Planned,
        *,
        owner: str,
        tenant: str = "",
        expires_at: datetime | None = None,
        facts: ClusterFacts | None = None,
        parameters: JobParameters | None = None,
        flow_run_id: str = "",
        name: str = "",
    ) -> tuple[ClusterRecord, JobRecord]:
        """Record a new cluster, PENDING, and the job that creates it, held by this process.

        ``template`` is kept as it is now, and what the cluster takes is reserved in the same transaction. Each node is
        recorded under its final host name. ``facts`` are what it is made with; ``name`` is what the cluster is called
        until it takes over the request's name (``take_name``), if that is not free yet; the rest is as for
        ``start_job``. Raises ``OverQuota`` when the tenant may not have it, ``InvalidInput`` when a living cluster of
        the tenant has the name or it would be taken for an id.
        """
        for called in (name, request.name):
            refuse_id_as_name(called)
        try:
            with self._database.write(durable=True) as connection:
                row = insert_cluster(
                    connection,
                    request,
                    template,
                    layout,
                    owner=owner,
                    tenant=tenant or self.tenant,
                    expires_at=expires_at,
                    facts=facts or ClusterFacts(),
                    name=name,
                )
                job = insert_job(
                    connection,
                    row,
                    Operation.CLUSTER_CREATE,
                    plan,
                    claimed_by="",
                    parameters=parameters or JobParameters(),
                    flow_run_id=flow_run_id,
                )
                return cluster_record(find_cluster(connection, job.cluster_id)), job
        except IntegrityError:
            raise name_taken(name or request.name) from None
