"""Stopping services: in dependency order over all nodes, or batch by batch."""

from __future__ import annotations

from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange
from coopr_core.operations.declaration import Declaration, Positive
from coopr_core.operations.services import prepare_services
from coopr_core.store import Store


def prepare_stop(
    store: Store, cluster: str, services: list[str] | None = None, rolling: bool = False, batch: Positive = 1
) -> PreparedChange:
    """Stop services on all nodes, and first what depends on them.

    Args:
        services: The services to stop; all of them when left out.
        rolling: Stop on a few nodes at a time; the named services alone.
        batch: How many nodes at a time, when rolling.
    """
    return prepare_services(store, cluster, Operation.STOP_SERVICES, services, rolling=rolling, batch=batch)


STOP = Declaration(Operation.STOP_SERVICES.verb, prepare_stop)
