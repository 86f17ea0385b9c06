"""The flow ``check-drift``: looks whether clusters are still what is recorded of them, and tells when they are not.

Changes nothing. Each cluster is looked at on its own: one that is busy, or whose provider does not answer, hinders no
other. A cluster with drift is told as ``coopr.cluster.drift``, to Prefect and by callback, and in the run's
page. Meant for a schedule.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import httpx
from prefect.artifacts import create_table_artifact

from coopr_core.errors import Busy, CooprError
from coopr_core.maintenance.drift import find_drift
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.announcing import Announcer
from flows.cluster_flow import cluster_flow
from flows.engine.run_log import flow_run_emitter
from flows.parameters import Tenant
from flows.vault import VAULT

DRIFT = "coopr.cluster.drift"
"""The event of a cluster that is not what is recorded of it."""


@cluster_flow("check-drift", "check-drift")
def check_drift(cluster: str | None = None, tenant: Tenant = None) -> dict[str, Any]:
    """Look for drift: machines gone, services that fail their health check, config that differs, extra machines.

    Args:
        cluster: The cluster's name or id; all living clusters of the tenant when left out.
        tenant: Whose clusters; those of the tenant in the settings when left out.

    Returns:
        Whether anything drifted, what was found on each cluster, and the clusters that could not be looked at.
    """
    say = flow_run_emitter()
    whose = tenant or load_settings().tenant
    looks: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    with Store.open() as store:
        wanted = [store.cluster(cluster, tenant=whose)] if cluster else store.clusters(tenant=whose)
        for each in wanted:
            try:
                look = find_drift(store, each, VAULT).to_json()
            except CooprError as error:
                if cluster:
                    raise
                say(logging.INFO if isinstance(error, Busy) else logging.ERROR, f"{each.name}: {error.message}")
                skipped.append({"cluster": each.name, "id": each.id, "error": error.code, "message": error.message})
                continue
            looks.append(look)
            for finding in look["findings"]:
                place = " ".join(part for part in (each.name, finding["host_name"], finding["service"]) if part)
                say(logging.WARNING, f"{place}: {finding['kind']}: {finding['message']}")
            if look["drift"]:
                with Announcer() as tell:
                    tell(DRIFT, store, each, drift=look)
        say(logging.INFO, f"{len(looks)} clusters looked at, {sum(look['drift'] for look in looks)} with drift")
        _publish(store, looks)
    return {"drift": any(look["drift"] for look in looks), "clusters": looks, "skipped": skipped}


def _publish(store: Store, looks: list[dict[str, Any]]) -> None:
    """Leave the findings as a table among the flow run's artifacts."""
    columns = ("kind", "host_name", "service", "message", "hint")
    rows = [
        {"cluster": look["cluster"], **{name: finding[name] for name in columns}}
        for look in looks
        for finding in look["findings"]
    ]
    with contextlib.suppress(httpx.HTTPError):
        create_table_artifact(
            rows,
            key=f"drift-{store.installation}",
            description=f"{len(rows)} differences on {len(looks)} clusters",
            _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
        )
