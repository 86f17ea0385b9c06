"""Publishing the flows as Prefect deployments: what ``prefect deploy`` does with ``prefect.yaml``, from anywhere.

May be repeated: the work pool is made when it is not there, deployments are brought up to date, block types too; the
schedules of a deployment that is there already stay as they are, whatever somebody has made of them. The entry
points are modules of the installed package, so a worker needs nothing but the package.
"""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

POOL_TYPE = "process"


def publish(pool: str = "coopr") -> list[dict[str, str]]:
    """Publish every deployment of ``prefect.yaml`` to the work pool; their names, ids and addresses in the UI.

    The Prefect server must be the one this process is configured for. Raises ``InvalidInput`` when the pool exists and
    is not a process work pool.
    """
    from prefect.client.orchestration import get_client

    import blocks

    for name in blocks.__all__:
        getattr(blocks, name).register_type_and_schema(_sync=True)
    with get_client(sync_client=True) as client:
        _ensure_pool(client, pool)
        return [_publish(client, pool, definition) for definition in definitions()]


def definitions() -> list[dict[str, Any]]:
    """The deployments as ``prefect.yaml`` defines them."""
    text = files("deployments").joinpath("prefect.yaml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["deployments"]
    return found


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE, base_job_template=template))
        return
    if pool.type != POOL_TYPE:
        raise InvalidInput(
            f"the work pool {name!r} is of type {pool.type!r}, not {POOL_TYPE!r}",
            hint="name another one: coopr deploy --pool NAME",
        )


def _publish(client: SyncPrefectClient, pool: str, definition: dict[str, Any]) -> dict[str, str]:
    from prefect.client.schemas.objects import ConcurrencyOptions
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.urls import url_for

    flow: Any = load_flow_from_entrypoint(definition["entrypoint"], use_placeholder_flow=False)
    limit = definition.get("concurrency_limit", {})
    deployment = client.create_deployment(
        flow_id=client.create_flow(flow),
        name=definition["name"],
        version=flow.version,
        entrypoint=definition["entrypoint"],
        description=definition["description"],
        tags=definition["tags"],
        work_pool_name=pool,
        job_variables=definition["work_pool"]["job_variables"],
        pull_steps=[],
        concurrency_limit=limit.get("limit"),
        concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]) if limit else None,
        schedules=_schedules(client, f"{flow.name}/{definition['name']}", definition),
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
    )
    return {
        "name": f"{flow.name}/{definition['name']}",
        "id": str(deployment),
        "url": url_for("deployment", obj_id=deployment) or "",
    }


def _schedules(client: SyncPrefectClient, name: str, definition: dict[str, Any]) -> list[DeploymentScheduleCreate]:
    """The schedules a deployment has; those of its definition when it is new."""
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
