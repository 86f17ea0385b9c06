"""What starting, stopping, configuring, adding to and syncing a cluster would do, found out before anything is touched.

Each function reads the store and, where it must, the catalog; all that can be wrong is raised here, by the command
before it asks and by the flow before it records anything. Never imports Prefect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from coopr_core.errors import Refused
from coopr_core.model.config import merge_config, requested_config
from coopr_core.model.operations import Operation
from coopr_core.model.states import ClusterState
from coopr_core.operations.change import PreparedChange, check_keys, check_renderable, differences, reached
from coopr_core.operations.current import OwnEntities, Present, present
from coopr_core.operations.scale import reloading
from coopr_core.operations.soundness import refuse_unsound_services
from coopr_core.settings import absolute_folders
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.store import Store

Verb = Literal["start", "stop", "restart"]

OPERATION_OF: Mapping[Verb, Operation] = {
    "start": Operation.START_SERVICES,
    "stop": Operation.STOP_SERVICES,
    "restart": Operation.RESTART_SERVICES,
}

INSTALLING = frozenset({Operation.ADD_SERVICES, Operation.SCALE, Operation.REPLACE_NODES})
"""The operations that install services on a cluster that runs."""


def prepare_services(
    store: Store, cluster: str, verb: Verb, services: Sequence[str] = (), *, rolling: bool = False, batch: int = 1
) -> PreparedChange:
    """Start, stop or restart services (none named: all), with those that must start or stop along.

    ``rolling`` goes through ``batch`` nodes at a time and touches the named services alone.
    """
    from coopr_core.planner import plan, roll

    operation = OPERATION_OF[verb]
    now = present(store, cluster, operation)
    names = list(dict.fromkeys(map(composed, services))) or None
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=operation,
        plan=roll(operation, now.layout, names, batch) if rolling else plan(operation, now.layout, names),
        layout=now.layout,
        request=now.request,
        template=now.template,
        parameters={"services": names or [], "rolling": rolling, **({"batch": batch} if rolling else {})},
    )


def prepare_configure(
    store: Store,
    cluster: str,
    config: Mapping[str, Any] | None,
    *,
    mode: Literal["merge", "replace"] = "merge",
    restart: bool = True,
    everything: bool = False,
) -> PreparedChange:
    """Give the cluster another config: ``config`` laid over the present one, or in its place.

    Only services that read what changes are configured, and restarted unless they take it while they run; all of them
    with ``everything`` and on a cluster whose last change failed, since nobody knows what reached its nodes.
    """
    from coopr_core.planner import plan

    operation = Operation.CLUSTER_CONFIGURE_WITH_RESTART if restart else Operation.CLUSTER_CONFIGURE
    now = present(store, cluster, operation)
    everything = _unsure(store, now) or everything
    request = now.request
    if config is not None and mode == "replace":
        request = request.model_copy(update={"config": dict(config), "config_mode": "replace"})
    elif config is not None:
        request = request.model_copy(update={"config": merge_config(request.config, config)})
    whole = requested_config(now.template.defaults.config, request.config, request.config_mode)
    after = replace(now.layout, config=whole)
    check_keys(now, config or {})
    check_renderable(after)
    changed = reached(now, after, restart=restart)
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=operation,
        plan=plan(operation, after)
        if everything
        else plan(operation, after, changed=changed, reloads=reloading(now, now, after, changed)),
        layout=after,
        request=request,
        template=now.template,
        recorded=whole != now.layout.config,
        differences=differences(now, after, changed),
        parameters={"restart": restart, "all": everything},
    )


def prepare_add_services(
    store: Store, cluster: str, services: Sequence[str], *, catalog: Sequence[str] = ()
) -> PreparedChange:
    """Put more services on the nodes there are, wherever the template allows them; those on the cluster are no news."""
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    now = present(store, cluster, Operation.ADD_SERVICES)
    entities = OwnEntities(now.catalog(catalog), now.template, now.layout.services)
    names = tuple(dict.fromkeys(map(composed, services)))
    asked = now.request.model_copy(update={"services": names, "size": len(now.layout.nodes)})
    after = solve(entities, asked, now.layout)
    check_renderable(after)
    refuse_unsound_services(
        entities.catalog, [service for name, service in after.services.items() if name not in now.layout.services]
    )
    placed = {name for node in after.nodes for name in node.services}
    new = placed - {name for node in now.layout.nodes for name in node.services}
    changed = reached(now, after)
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=Operation.ADD_SERVICES,
        plan=plan(
            "ADD_SERVICES", after, current=now.layout, changed=changed, reloads=reloading(now, now, after, changed)
        ),
        layout=after,
        request=now.request.model_copy(update={"services": tuple(sorted(placed))}) if new else now.request,
        template=now.template,
        recorded=bool(new),
        differences=differences(now, after, changed) if new else (),
        parameters={"services": sorted(new), "catalog": list(map(str, absolute_folders(catalog)))},
    )


def prepare_sync(store: Store, cluster: str, *, catalog: Sequence[str] = (), restart: bool = True) -> PreparedChange:
    """Bring the cluster to today's version of its template, services and config; its nodes stay as they are.

    Raises ``Unsatisfiable`` naming what today's template asks for and the nodes do not have.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import renewed

    now = present(store, cluster, Operation.SYNC_TEMPLATE)
    known = now.catalog(catalog)
    after = renewed(known, now.request, now.layout)
    template = known.template(now.request.template)
    check_renderable(after)
    refuse_unsound_services(known, after.services.values())
    changed = reached(now, after, restart=restart)
    verb = "CLUSTER_CONFIGURE_WITH_RESTART" if restart else "CLUSTER_CONFIGURE"
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=Operation.SYNC_TEMPLATE,
        plan=plan(verb, after, changed=changed),
        layout=after,
        request=now.request,
        template=template,
        recorded=template != now.template or after != now.layout,
        differences=differences(now, after, changed),
        parameters={"restart": restart, "catalog": list(map(str, absolute_folders(catalog)))},
    )


def _unsure(store: Store, now: Present) -> bool:
    """Whether nobody knows what config reached the nodes: a change of it failed.

    Raises ``Refused`` when the last job was to install something and did not end well: configuring what may not be
    there would only hide that.
    """
    if now.cluster.state is not ClusterState.INCONSISTENT or now.cluster.last_job is None:
        return False
    last = store.job(now.cluster.last_job)
    if last.operation in INSTALLING:
        raise Refused(
            f"cluster {now.cluster.name} is INCONSISTENT: its last job {last.id} {last.operation} did not end, so not"
            " all of its services may be installed",
            hint=f"`coopr retry {now.cluster.handle}` goes on with it",
        )
    return True
