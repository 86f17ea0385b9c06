"""Publishing the flows as Prefect deployments: what ``prefect deploy`` does with ``prefect.yaml``, from anywhere.

May be repeated: the work pool is made when it is not there, deployments are brought up to date, block types too. The
entry points are modules of the installed package, so a worker needs nothing but the package.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

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
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.urls import url_for

    flow: Any = load_flow_from_entrypoint(definition["entrypoint"], use_placeholder_flow=False)
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
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
    )
    return {
        "name": f"{flow.name}/{definition['name']}",
        "id": str(deployment),
        "url": url_for("deployment", obj_id=deployment) or "",
    }
