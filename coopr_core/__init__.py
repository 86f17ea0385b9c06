"""Coopr without Prefect: a template and a request in, a layout and a plan out, and what makes them real on machines.

The map of the house, from below; no room imports from one that stands lower in this list, which import-linter proves:

* ``suggestions``, ``text_form``, ``errors``, ``durations``, ``concurrency``: what every room speaks with.
* ``plug_ins``: loading one. ``process_start``: which process it is.
* ``documents``: YAML and JSON as people write them, read exactly. ``vault``: where secrets are. ``proxies``.
* ``settings``: this installation. ``folders``: where its files are.
* ``model``: plain values: requests, layouts, nodes, ids, names, states, operations, policies, leases, quotas, facts.
* ``macros``: ``%host.service.x%`` and its kin in config, links and the fields of actions.
* ``catalog``: entities (templates, services, hardware and image types, providers), read, merged and checked.
* ``solver``: template + request -> ``ClusterLayout``, or ``Unsatisfiable`` with its reasons. A pure function.
* ``planner``: layout + operation -> ``Plan``: a graph of steps and joins, its tasks and stages. A pure function.
* ``store``: the SQL record of clusters, nodes, jobs, tasks and attempts; it owns the truth.
* ``providers``: plug-ins that make machines, and the care that all of them need.
* ``remote``: the one way to a node: sessions over SSH, gateways, streaming output, redaction.
* ``automators``: plug-ins that make services on machines, and what they bring to a node.
* ``operations``: what each operation is: its rule, what it would do, what it does at the end.
* ``work``: what one task does on one node; who comes, goes, is given up; what stops a job.
* ``maintenance``: drift, leftovers, leases, the doctor.

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
