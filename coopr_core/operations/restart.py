"""Restarting services: in dependency order over all nodes, or batch by batch."""

from __future__ import annotations

from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange
from coopr_core.operations.declaration import Declaration, Positive
from coopr_core.operations.services import prepare_services
from coopr_core.store import Store


def prepare_restart(
    store: Store, cluster: str, services: list[str] | None = None, rolling: bool = False, batch: Positive = 1
) -> PreparedChange:
    """Restart services on all nodes, with what depends on them; or batch by batch while the others serve.

    Args:
        services: The services to restart; all of them when left out.
        rolling: Restart on a few nodes at a time, each batch after the one before is well; the named services alone.
        batch: How many nodes at a time, when rolling.
    """
    return prepare_services(store, cluster, Operation.RESTART_SERVICES, services, rolling=rolling, batch=batch)


RESTART = Declaration(Operation.RESTART_SERVICES.verb, prepare_restart)
