"""Running a change as it was confirmed, its record and its job; shared by the flows that change a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coopr_core.operations.confirmation import as_confirmed
from flows.operation import run_operation, start_operation
from flows.report import summarize

if TYPE_CHECKING:
    from coopr_core.operations.change import PreparedChange
    from coopr_core.store import Store


def run_change(
    store: Store, prepare: Callable[[], PreparedChange], *, max_concurrency: int | None, confirmed: str
) -> dict[str, Any]:
    """Do what ``prepare`` finds out and wait for its end; without a job when there is nothing to do. The summary.

    Raises ``Refused`` when that is anything else than was ``confirmed``.
    """
    with as_confirmed(confirmed):
        prepared = prepare()
        prepared.check(confirmed)
    cluster = prepared.cluster
    if prepared.nothing_to_do:
        return summarize(store, cluster, "", "")
    with as_confirmed(confirmed):
        job = start_operation(
            store,
            cluster,
            prepared.operation,
            prepared.plan,
            max_concurrency=max_concurrency,
            values=prepared.parameters,
            change=prepared.change,
            seen=prepared.newest,
        )
    return run_operation(store, cluster, job)
