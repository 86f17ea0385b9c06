"""Giving a cluster another config: only services that read what changes are touched.

What is new is on record before the first task runs, so that a cluster whose change failed can be brought to it later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from coopr_core.errors import Refused
from coopr_core.model.config import merge_config, requested_config
from coopr_core.model.operations import Operation
from coopr_core.model.states import ClusterState
from coopr_core.operations.change import PreparedChange, check_keys, check_renderable
from coopr_core.operations.current import Present, present
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.difference import differences, reached, reloading
from coopr_core.store import Store


def prepare_configure(
    store: Store,
    cluster: str,
    config: dict[str, Any] | None = None,
    config_mode: Literal["merge", "replace"] = "merge",
    restart: bool = True,
    everything: bool = False,
) -> PreparedChange:
    """Change a cluster's config; only services that read what changes are touched.

    All of them are with ``everything``, and on a cluster whose last change failed: nobody knows what reached its nodes.

    Args:
        config: Settings laid over the cluster's config. Never put a secret here: write %secret.NAME% instead.
        config_mode: merge lays config over the cluster's, replace puts it in the place of the template's too.
        restart: Restart what takes new config; otherwise services are configured while they run.
        everything: Configure all services, whether anything changes for them or not.
    """
    from coopr_core.planner import plan

    operation = Operation.CLUSTER_CONFIGURE_WITH_RESTART if restart else Operation.CLUSTER_CONFIGURE
    now = present(store, cluster, operation)
    everything = _unsure(store, now) or everything
    request = now.request
    if config is not None and config_mode == "replace":
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


def _unsure(store: Store, now: Present) -> bool:
    """Return whether nobody knows what config reached the nodes: a change of it failed.

    Raises ``Refused`` when the last job was to install something and did not end well: configuring what may not be
    there would only hide that.
    """
    if now.cluster.state is not ClusterState.INCONSISTENT or now.cluster.last_job is None:
        return False
    last = store.job(now.cluster.last_job)
    if last.operation.installs:
        raise Refused(
            f"cluster {now.cluster.name} is INCONSISTENT: its last job {last.id} {last.operation} did not end, so not"
            " all of its services may be installed",
            hint=f"`coopr retry {now.cluster.handle}` goes on with it",
        )
    return True


CONFIGURE = Declaration(
    Operation.CLUSTER_CONFIGURE_WITH_RESTART.verb, prepare_configure, question="Configure cluster {cluster}"
)
