"""Coopr without Prefect: a template and a request in, a layout and a plan out, and the plug-ins that make them real.

The map of the house, in the order the data walks. No module imports one that stands below it in this list's order:

* ``catalog``: entities (templates, services, hardware and image types, providers), read, merged and checked.
* ``solver``: template + request -> ``ClusterLayout``, or ``Unsatisfiable`` with its reasons. A pure function.
* ``planner``: layout + operation -> ``Plan``: tasks, their dependencies, stages. A pure function.
* ``macros``: ``%host.service.x%`` and its kin in config, links and the fields of actions.
* ``cluster``: requests, layouts, ids, host names, leases, config, states and records of clusters.
* ``store``: the SQL record of clusters, nodes, jobs, tasks and attempts; it owns the truth.
* ``remote``: one SSH session per node: run, put, get, streaming output, redaction.
* ``providers``: plug-ins that make machines. ``automators``: plug-ins that make services on them.

Above this package stand ``blocks``, ``flows``, ``deployments`` (Prefect) and ``coopr_cli`` (the command). The names
below are imported when they are first used, so ``import coopr_core`` costs nothing::

    from coopr_core import Catalog, ClusterRequest, plan, solve

    layout = solve(Catalog.load(["my-catalog"]), ClusterRequest(name="demo", template="webapp", size=4))
    plan("CLUSTER_CREATE", layout).stages
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog as Catalog
    from coopr_core.model.layout import ClusterLayout as ClusterLayout
    from coopr_core.model.layout import Node as Node
    from coopr_core.model.request import ClusterRequest as ClusterRequest
    from coopr_core.planner import Plan as Plan
    from coopr_core.planner import Task as Task
    from coopr_core.planner import plan as plan
    from coopr_core.solver import Unsatisfiable as Unsatisfiable
    from coopr_core.solver import solve as solve

    from .catalog.entities import Service as Service

_HOMES = {
    "Catalog": "coopr_core.catalog",
    "ClusterLayout": "coopr_core.model.layout",
    "ClusterRequest": "coopr_core.model.request",
    "Node": "coopr_core.model.layout",
    "Plan": "coopr_core.planner",
    "Service": "coopr_core.catalog.entities",
    "Task": "coopr_core.planner",
    "Unsatisfiable": "coopr_core.solver",
    "plan": "coopr_core.planner",
    "solve": "coopr_core.solver",
}

__all__ = [
    "Catalog",
    "ClusterLayout",
    "ClusterRequest",
    "Node",
    "Plan",
    "Service",
    "Task",
    "Unsatisfiable",
    "plan",
    "solve",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
