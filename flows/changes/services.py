"""The flows ``start-services``, ``stop-services`` and ``restart-services``: in dependency order, or rolling."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from coopr_core.operations.services import Verb, prepare_services
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from flows.changes.running import run_change
from flows.cluster_flow import cluster_flow

Batch = Annotated[int, Field(ge=1)]


@cluster_flow("start-services", "start-services {cluster}")
def start_services(
    cluster: str,
    services: list[str] | None = None,
    rolling: bool = False,
    batch: Batch = 1,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Start services on all nodes, and first what they need.

    Args:
        cluster: The cluster's name or id.
        services: The services to start; all of them when left out.
        rolling: Start on a few nodes at a time, each batch after the one before is well; the named services alone.
        batch: How many nodes at a time, when rolling.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    return _change("start", cluster, services, rolling, batch, max_concurrency, confirmed)


@cluster_flow("stop-services", "stop-services {cluster}")
def stop_services(
    cluster: str,
    services: list[str] | None = None,
    rolling: bool = False,
    batch: Batch = 1,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Stop services on all nodes, and first what depends on them.

    Args:
        cluster: The cluster's name or id.
        services: The services to stop; all of them when left out.
        rolling: Stop on a few nodes at a time; the named services alone.
        batch: How many nodes at a time, when rolling.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    return _change("stop", cluster, services, rolling, batch, max_concurrency, confirmed)


@cluster_flow("restart-services", "restart-services {cluster}")
def restart_services(
    cluster: str,
    services: list[str] | None = None,
    rolling: bool = False,
    batch: Batch = 1,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Restart services on all nodes, with what depends on them; or batch by batch while the others serve.

    Args:
        cluster: The cluster's name or id.
        services: The services to restart; all of them when left out.
        rolling: Restart on a few nodes at a time, each batch after the one before is well; the named services alone.
        batch: How many nodes at a time, when rolling.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    return _change("restart", cluster, services, rolling, batch, max_concurrency, confirmed)


def _change(
    verb: Verb,
    cluster: str,
    services: list[str] | None,
    rolling: bool,
    batch: int,
    max_concurrency: int | None,
    confirmed: str,
) -> dict[str, Any]:
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_services(store, cluster, verb, services or (), rolling=rolling, batch=batch),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )
