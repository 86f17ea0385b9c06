"""What starting, stopping and restarting services have in common: a course over the services named, or batch by batch.

All that can be wrong is raised here, by the command before it asks and by the flow before it records anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange
from coopr_core.operations.current import present
from coopr_core.store import Store
from coopr_core.text_form import composed


def prepare_services(
    store: Store,
    cluster: str,
    operation: Operation,
    services: Sequence[str] | None = None,
    *,
    rolling: bool = False,
    batch: int = 1,
) -> PreparedChange:
    """Prepare an operation on services (none named: all), with those that must start or stop along.

    ``rolling`` goes through ``batch`` nodes at a time and touches the named services alone.
    """
    from coopr_core.planner import plan, roll

    now = present(store, cluster, operation)
    names = list(dict.fromkeys(map(composed, services or ()))) or None
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
