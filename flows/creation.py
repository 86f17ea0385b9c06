"""The flow ``create-cluster``: a template becomes a running cluster, every step of it a task run.

Everything that can be wrong with the request is found before anything is recorded; from then on the store knows the
cluster, and a failure leaves it in a state that ``delete-cluster`` clears up.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import runtime
from prefect.blocks.core import Block
from pydantic import Field, JsonValue

from blocks import LocalProviderSettings, SshKey
from coopr_core.errors import InvalidInput
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.policies import FailurePolicy
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.create import prepare_create
from coopr_core.providers.credentials import make_provider
from coopr_core.settings import Concurrency, absolute_folders, load_settings
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.operation import parameters_of, run_operation
from flows.vault import VAULT

SCHEDULES: list[JsonValue] = ["stages", "dataflow"]
"""For the custom run form, whose drop-down does not look for the choices of what may be left out."""


@cluster_flow("create-cluster", "create-cluster {name}")
def create_cluster(
    name: str,
    template: str,
    size: Annotated[int, Field(ge=1)] | None = None,
    services: list[str] | None = None,
    provider: str | None = None,
    hardware_type: str | None = None,
    image_type: str | None = None,
    config: dict[str, Any] | None = None,
    config_mode: Literal["merge", "replace"] = "merge",
    dns_suffix: str | None = None,
    lease: str | None = None,
    optimize: Literal["preference", "cost"] = "preference",
    catalog: list[str] | None = None,
    provider_settings: LocalProviderSettings | None = None,
    ssh_key: SshKey | None = None,
    max_concurrency: Concurrency | None = None,
    schedule: Annotated[Literal["stages", "dataflow"] | None, Field(json_schema_extra={"enum": SCHEDULES})] = None,
    owner: str | None = None,
    tenant: str | None = None,
    on_failure: Literal["hold", "rollback", "continue"] = "hold",
    min_nodes: Annotated[int, Field(ge=1)] | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Create a cluster from a template and wait until its services run.

    Args:
        name: What the cluster is called: letters, digits, '_', '.' or '-'; no other living cluster may have it.
        template: The cluster template to make it from, such as nats, webapp or spark.
        size: How many nodes; the least that has a layout when left out.
        services: The services to run, instead of the template's own choice.
        provider: Where machines come from, instead of the template's default.
        hardware_type: One hardware type for all nodes, instead of the solver's choice.
        image_type: One image type for all nodes, instead of the solver's choice.
        config: Settings laid over the template's config. Never put a secret here: write %secret.NAME% instead.
        config_mode: merge lays config over the template's, replace puts it in its place.
        dns_suffix: The domain of the host names, instead of the template's.
        lease: How long the cluster may live, such as 2h or 7d; the template's initial lease when left out.
        optimize: preference keeps the template's order of layouts, cost takes the cheapest that satisfies everything.
        catalog: Folders with templates and services, laid over the builtin catalog; those of the setting of that name
            when left out.
        provider_settings: The block with the provider's settings and secrets.
        ssh_key: The block with the key that logs in to the nodes; coopr's own key when left out.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        schedule: stages waits for a whole stage before the next, dataflow starts a task as soon as it can; the
            setting of that name decides when left out.
        owner: Who the cluster belongs to; the user who runs the flow when left out.
        tenant: Whose cluster it is, and whose quota it takes from; the setting's tenant when left out.
        on_failure: hold leaves what was made for a retry, rollback deletes it, continue goes on without failed nodes.
        min_nodes: With continue, how many nodes with the same services must be left.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    policy = FailurePolicy.of(on_failure, min_nodes)
    settings = load_settings()
    values = {
        "name": name,
        "template": template,
        "size": size,
        "services": services,
        "provider": provider,
        "hardware_type": hardware_type,
        "image_type": image_type,
        "config": config,
        "config_mode": config_mode,
        "dns_suffix": dns_suffix,
        "lease": lease,
        "optimize": optimize,
    }
    paths = settings.catalog_with() if catalog is None else absolute_folders(catalog)
    with Store.open() as store:
        with as_confirmed(confirmed):
            prepared = prepare_create(values, catalog=paths, store=store, tenant=tenant or store.tenant)
            prepared.check(confirmed)
        settings_block = _saved(provider_settings, "provider_settings")
        key_block = _saved(ssh_key, "ssh_key")
        provider_facts = ProviderFacts.of(prepared.provider, settings_block)
        make_provider(provider_facts, VAULT)
        with as_confirmed(confirmed):
            cluster, job = store.begin_cluster(
                prepared.request,
                prepared.template,
                prepared.layout,
                prepared.plan,
                owner=owner or settings.owner,
                tenant=prepared.tenant,
                expires_at=prepared.expires_at,
                facts=ClusterFacts((provider_facts,), key_block, tuple(map(str, paths))),
                parameters=parameters_of(
                    prepared.plan,
                    schedule=schedule,
                    max_concurrency=max_concurrency,
                    values=policy.to_json(),
                ),
                flow_run_id=str(runtime.flow_run.id or ""),
            )
        return run_operation(store, cluster, job)


def _saved(block: Block | None, parameter: str) -> str:
    """The name a block is saved under, ``<type>/<name>``: the cluster will need it again when it is deleted."""
    if block is None:
        return ""
    name = block._block_document_name
    if not name:
        raise InvalidInput(
            f"the block given as {parameter} is not saved, so the cluster could not be deleted later",
            hint=f'save it first: block.save("a-name"), then {parameter}=type(block).load("a-name")',
        )
    return f"{block.get_block_type_slug()}/{name}"
