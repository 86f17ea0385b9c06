"""Prefect flows: one for all that people can ask of clusters, and the one engine that maps a plan's tasks to task runs.

``from flows import create_cluster, delete_cluster`` gives the flows; call them like functions. Those of operations and
of what steers their jobs are derived from their declarations (``flows.verbs``), the others are written out. Importing
this package does not import Prefect until one of them is touched, and then without telemetry. A flow that is called
where no Prefect server is named finds or starts coopr's own.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flows.former import stand_in

WRITTEN = {
    "create_cluster": "flows.creation",
    "extend_lease": "flows.maintenance.leases",
    "protect_cluster": "flows.maintenance.leases",
    "reap_expired": "flows.maintenance.expiry",
    "check_drift": "flows.maintenance.drift",
    "collect_garbage": "flows.maintenance.leftovers",
}
"""The flows that are written out, and their modules."""


def flow_names() -> list[str]:
    """Return the names of all flows, in the order of a cluster's life."""
    from coopr_core.operations.registry import verbs

    return list(dict.fromkeys((*(verb.flow for verb in verbs()), *WRITTEN)))


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return flow_names()
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = _flow(name)
    if value is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _flow(name: str) -> Any:
    """Return the flow of that name; None when there is none."""
    from flows.server import prepare_prefect

    if name in WRITTEN:
        prepare_prefect()
        return getattr(import_module(WRITTEN[name]), name)
    from coopr_core.operations.registry import declaration, verbs

    verb = next((verb for verb in verbs() if verb.flow == name), None)
    if verb is None:
        return None
    prepare_prefect()
    from flows.verbs import derived_flow

    return derived_flow(declaration(verb))


def __dir__() -> list[str]:
    return sorted({*globals(), *flow_names()})


stand_in(__name__, __getattr__)
