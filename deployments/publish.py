"""Publishing the flows as Prefect deployments: what ``prefect deploy`` does with ``prefect.yaml``, from anywhere.

May be repeated: the work pool is made when it is not there, deployments are brought up to date, block types too; the
schedules of a deployment that is there already stay as they are, whatever somebody has made of them. The entry
points are modules of the installed package, so a worker needs nothing but the package.

Deployments carry the tag of the installation they were published from, which their runs inherit, and are on a work pool
of its own; a deployment that carries another installation's is never written over.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coopr_core.errors import InvalidInput, Refused
from coopr_core.store import Store
from deployments.definitions import NAME, definitions

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse

POOL_TYPE = "process"

_MOST = 200
"""As many deployments as the server lists at once; ours of one name are far fewer."""


def publish(pool: str = "", name: str = "") -> list[dict[str, str]]:
    """Publish the deployment of every flow; return their names, ids, work pool and addresses in the UI.

    ``pool`` is ``coopr-<installation>`` when left out. ``name`` is ``coopr`` when left out, or, where another
    installation has published under that on this server, ``coopr-<installation>``. The Prefect server must be the one
    this process is configured for. Raises ``InvalidInput`` when the pool exists and is not a process work pool,
    ``Refused`` when deployments of that name are another installation's.
    """
    from prefect.client.orchestration import get_client

    from blocks.registry import block_types
    from flows.belonging import tag_of

    for block in block_types().values():
        _register(block)
    with Store.open() as store:
        tag, own = tag_of(store), f"{NAME}-{store.installation}"
    with get_client(sync_client=True) as client:
        name = _free(client, name, tag) if name else _own_name(client, own, tag)
        pool = pool or own
        _ensure_pool(client, pool)
        return [_publish(client, pool, name, tag, definition) for definition in definitions()]


def _register(block: type[Block]) -> None:
    """Register a block type, or bring it up to date; also when another registers it in the same moment."""
    from prefect.exceptions import ObjectAlreadyExists

    with contextlib.suppress(ObjectAlreadyExists):
        block.register_type_and_schema(_sync=True)  # type: ignore[call-arg]  # Prefect's wrapper takes it
        return
    block.register_type_and_schema(_sync=True)  # type: ignore[call-arg]


def _own_name(client: SyncPrefectClient, own: str, tag: str) -> str:
    """Return the name that this installation has published under, else the common one if no other has that."""
    if any(tag in deployment.tags for deployment in _present(client, own)):
        return own
    return own if _others(client, NAME, tag) else NAME


def _free(client: SyncPrefectClient, name: str, tag: str) -> str:
    """Return the name, which no other installation has published under. Raises ``Refused``."""
    if others := _others(client, name, tag):
        raise Refused(
            f"the deployments {name!r} on this server were published from installation {', '.join(sorted(others))}",
            hint="`coopr deploy --name NAME` publishes under another name; without --name one of our own is taken",
        )
    return name


def _others(client: SyncPrefectClient, name: str, tag: str) -> set[str]:
    """Return the other installations that have deployments of this name."""
    from flows.belonging import installations

    found = set[str]().union(*(installations(deployment.tags) for deployment in _present(client, name)))
    return found - installations({tag})


def _present(client: SyncPrefectClient, name: str) -> list[DeploymentResponse]:
    """Return the deployments of our flows that have this name."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowFilter,
        FlowFilterName,
    )

    flows = [_flow_of(definition).name for definition in definitions()]
    return client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=flows)),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])),
        limit=_MOST,
    )


def _flow_of(definition: dict[str, Any]) -> Any:
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(definition["entrypoint"], use_placeholder_flow=False)


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        # a worker that starts on it, or another who publishes, may make it in the same moment
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE, base_job_template=template))
        pool = client.read_work_pool(name)
    if pool.type != POOL_TYPE:
        raise InvalidInput(
            f"the work pool {name!r} is of type {pool.type!r}, not {POOL_TYPE!r}",
            hint="name another one: coopr deploy --pool NAME",
        )


def _publish(client: SyncPrefectClient, pool: str, name: str, tag: str, definition: dict[str, Any]) -> dict[str, str]:
    from prefect.client.schemas.objects import ConcurrencyOptions
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.urls import url_for

    from flows.belonging import TAG

    flow = _flow_of(definition)
    limit = definition.get("concurrency_limit", {})
    deployment = client.create_deployment(
        flow_id=client.create_flow(flow),
        name=name,
        version=flow.version,
        entrypoint=definition["entrypoint"],
        description=definition["description"],
        tags=[*(kept for kept in definition["tags"] if not kept.startswith(TAG)), tag],
        work_pool_name=pool,
        job_variables=definition["work_pool"]["job_variables"],
        pull_steps=[],
        concurrency_limit=limit.get("limit"),
        concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]) if limit else None,
        schedules=_schedules(client, f"{flow.name}/{name}", definition),
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
    )
    return {
        "name": f"{flow.name}/{name}",
        "id": str(deployment),
        "pool": pool,
        "url": url_for("deployment", obj_id=deployment) or "",
    }


def _schedules(client: SyncPrefectClient, name: str, definition: dict[str, Any]) -> list[DeploymentScheduleCreate]:
    """Return the schedules a deployment has; those of its definition when it is new."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule
    from prefect.exceptions import ObjectNotFound

    kept = ("schedule", "active", "max_scheduled_runs", "parameters", "slug")
    try:
        present = client.read_deployment_by_name(name).schedules
    except ObjectNotFound:
        return [
            DeploymentScheduleCreate(
                schedule=IntervalSchedule(interval=timedelta(seconds=each["interval"])),
                active=each.get("active", True),
                slug=each.get("slug"),
            )
            for each in definition.get("schedules", [])
        ]
    return [DeploymentScheduleCreate(**{field: getattr(each, field) for field in kept}) for each in present]
