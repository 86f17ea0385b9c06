"""The flow ``create-cluster``: a template becomes a running cluster, every step of it a task run.

Everything that can be wrong with the request is found before anything is recorded; from then on the store knows the
cluster, and a failure leaves it in a state that ``delete-cluster`` clears up.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import runtime
from pydantic import Field

from coopr_core.model.request import ClusterRequest
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.create import facts_of, prepare_create
from coopr_core.settings import absolute_folders, load_settings
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.operation import parameters_of, run_operation
from flows.parameters import Confirmed, Failure, Machines, MaxConcurrency, Schedule, Tenant
from flows.vault import VAULT


@cluster_flow("create-cluster", "create-cluster {name}")
def create_cluster(
    name: str,
    template: str,
    size: Annotated[int, Field(ge=1)] | None = None,
    services: list[str] | None = None,
    config: dict[str, Any] | None = None,
    config_mode: Literal["merge", "replace"] = "merge",
    machines: Machines | None = None,
    failure: Failure | None = None,
    lease: str | None = None,
    owner: str | None = None,
    catalog: list[str] | None = None,
    tenant: Tenant = None,
    schedule: Schedule = None,
    max_concurrency: MaxConcurrency = None,
    confirmed: Confirmed = "",
) -> dict[str, Any]:
    """Create a cluster from a template and wait until its services run.

    Args:
        name: What the cluster is called: letters, digits, '_', '.' or '-'; no other living cluster may have it.
        template: The cluster template to make it from, such as nats, webapp or spark.
        size: How many nodes; the least that has a layout when left out.
        services: The services to run, instead of the template's own choice.
        config: Settings laid over the template's config. Never put a secret here: write %secret.NAME% instead.
        config_mode: merge lays config over the template's, replace puts it in its place.
        machines: Which machines: provider, credentials, hardware and image type; as the template says when left out.
        failure: What becomes of what was made when a task fails; it is left for a retry when this is left out.
        lease: How long the cluster may live, such as 2h or 7d; the template's initial lease when left out.
        owner: Who the cluster belongs to; the user who runs the flow when left out.
        catalog: Folders with templates and services, laid over the builtin catalog; those of the setting of that name
            when left out.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    policy = (failure or Failure()).policy
    machines = machines or Machines()
    settings = load_settings()
    paths = settings.catalog_with() if catalog is None else absolute_folders(catalog)
    with Store.open() as store:
        with as_confirmed(confirmed):
            request = ClusterRequest.parse(
                name=name,
                template=template,
                size=size,
                services=services,
                config=config,
                config_mode=config_mode,
                lease=lease,
                **machines.choice,
            )
            prepared = prepare_create(request, catalog=paths, store=store, tenant=tenant or store.tenant)
            prepared.check(confirmed)
            cluster, job = store.begin_cluster(
                prepared.request,
                prepared.template,
                prepared.layout,
                prepared.plan,
                owner=owner or settings.owner,
                tenant=prepared.tenant,
                expires_at=prepared.expires_at,
                facts=facts_of(prepared, paths, VAULT),
                parameters=parameters_of(schedule=schedule, max_concurrency=max_concurrency, values=policy.to_json()),
                flow_run_id=str(runtime.flow_run.id or ""),
            )
        return run_operation(store, cluster, job)
