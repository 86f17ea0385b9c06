"""The flows of what people ask of clusters, each derived from its declaration in ``coopr_core.operations``.

Promise: a flow prepares what was asked for, refuses when that is anything else than was confirmed, records the job and
runs it to its end. Its form shows the parameters of the declaration's ``prepare``, then those of ``SHARED``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from prefect import Flow, runtime

from coopr_core.operations.confirmation import Prepared, as_confirmed
from coopr_core.operations.control import Controlled
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.job import PreparedJob
from coopr_core.operations.rebuild import Rebuild
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.execution import How, execute_job, steer_job
from flows.parameters import Confirmed, Credentials, KeyName, MaxConcurrency, Schedule, Tenant
from flows.rebuild import run_rebuild

SHARED: dict[str, tuple[Any, Any]] = {
    "tenant": (Tenant, None),
    "schedule": (Schedule, None),
    "max_concurrency": (MaxConcurrency, None),
    "confirmed": (Confirmed, ""),
}
"""The parameters that all derived flows have after their own: type, which describes them, and default."""

HOW = ("schedule", "max_concurrency")
"""Those that say how a job runs; what runs none does not have them."""

BLOCKS: dict[str, Any] = {"credentials": Credentials, "ssh_key": KeyName}
"""Parameters that name a block; to a flow the block itself may be given, and a form has it picked."""

RETURNS = "The cluster's id, name, state, job, links and nodes; what is done already is a success."

DOING: tuple[tuple[type[Prepared], Callable[[Any, Store, How], dict[str, Any]]], ...] = (
    (PreparedJob, execute_job),
    (Controlled, steer_job),
    (Rebuild, run_rebuild),
)
"""What does what was prepared."""


def derived_flow(declaration: Declaration) -> Flow[..., dict[str, Any]]:
    """Return the flow of what is declared: a function of ``flows`` with typed, described parameters."""
    verb = declaration.verb
    signature = _signature(declaration)

    def run(*arguments: Any, **options: Any) -> dict[str, Any]:
        given = signature.bind(*arguments, **options)
        given.apply_defaults()
        values = dict(given.arguments)
        cluster, tenant = values.pop("cluster"), values.pop("tenant")
        how = How(**{name: values.pop(name) for name in (*HOW, "confirmed") if name in values})
        with Store.open(tenant=tenant) as store:
            with as_confirmed(how.confirmed):
                prepared = declaration.prepare(store, cluster, **values)
                if declaration.one_job or not _goes_on(store):
                    prepared.check(how.confirmed)
            do = next(do for kind, do in DOING if isinstance(prepared, kind))
            return do(prepared, store, how)

    run.__name__ = run.__qualname__ = verb.flow
    run.__module__ = "flows"
    run.__doc__ = _docstring(declaration)
    run.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
    run.__signature__ = signature  # type: ignore[attr-defined]  # typeshed does not know it
    return cluster_flow(verb.flow_name, f"{verb.flow_name} {{cluster}}", one_job=declaration.one_job)(run)


def _signature(declaration: Declaration) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [
        inspect.Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in SHARED.items()
        if declaration.runs_job or name not in HOW
    ]
    own = [
        parameter.replace(kind=kind, annotation=BLOCKS.get(parameter.name, parameter.annotation))
        for parameter in declaration.parameters
    ]
    cluster = inspect.Parameter("cluster", kind, annotation=str)
    return inspect.Signature([cluster, *own, *shared], return_annotation=dict[str, Any])


def _docstring(declaration: Declaration) -> str:
    """Return the docstring of the flow; the types of what all share describe that."""
    described = {"cluster": "The cluster's name or id.", **declaration.descriptions}
    lines = [f"    {name}: {text}" for name, text in described.items()]
    return "\n".join([declaration.summary, "", "Args:", *lines, "", "Returns:", f"    {RETURNS}"])


def _goes_on(store: Store) -> bool:
    """Return whether Prefect runs this flow run again and it had begun a job: what is there is partly its own doing."""
    run_id = runtime.flow_run.id
    return bool(run_id) and runtime.flow_run.run_count > 1 and store.job_of_flow_run(str(run_id)) is not None
