"""Prefect flows: one per cluster operation, and the one engine that maps a plan's tasks to task runs.

``from flows import create_cluster, delete_cluster`` gives the flows; call them like functions. Importing this package
does not import Prefect until one of them is touched, and then without telemetry. A flow that is called where no Prefect
server is named finds or starts coopr's own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.changes.configuring import add_services, configure_cluster, sync_cluster
    from flows.changes.rebuilding import rebuild_cluster
    from flows.changes.scaling import replace_nodes, scale_cluster
    from flows.changes.services import restart_services, start_services, stop_services
    from flows.control.resuming import abort_cluster, pause_cluster, resume_cluster, retry_cluster
    from flows.creation import create_cluster
    from flows.deletion import delete_cluster
    from flows.maintenance.drift import check_drift
    from flows.maintenance.expiry import reap_expired
    from flows.maintenance.leases import extend_lease, protect_cluster
    from flows.maintenance.leftovers import collect_garbage

__all__ = [
    "abort_cluster",
    "add_services",
    "check_drift",
    "collect_garbage",
    "configure_cluster",
    "create_cluster",
    "delete_cluster",
    "extend_lease",
    "pause_cluster",
    "protect_cluster",
    "reap_expired",
    "rebuild_cluster",
    "replace_nodes",
    "restart_services",
    "resume_cluster",
    "retry_cluster",
    "scale_cluster",
    "start_services",
    "stop_services",
    "sync_cluster",
]

_HOMES = {
    "abort_cluster": "flows.control.resuming",
    "pause_cluster": "flows.control.resuming",
    "resume_cluster": "flows.control.resuming",
    "retry_cluster": "flows.control.resuming",
    "add_services": "flows.changes.configuring",
    "check_drift": "flows.maintenance.drift",
    "collect_garbage": "flows.maintenance.leftovers",
    "configure_cluster": "flows.changes.configuring",
    "rebuild_cluster": "flows.changes.rebuilding",
    "replace_nodes": "flows.changes.scaling",
    "restart_services": "flows.changes.services",
    "scale_cluster": "flows.changes.scaling",
    "start_services": "flows.changes.services",
    "stop_services": "flows.changes.services",
    "sync_cluster": "flows.changes.configuring",
    "create_cluster": "flows.creation",
    "delete_cluster": "flows.deletion",
    "extend_lease": "flows.maintenance.leases",
    "protect_cluster": "flows.maintenance.leases",
    "reap_expired": "flows.maintenance.expiry",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flows.server import prepare_prefect

    prepare_prefect()
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
