"""Running a prepared change: its record and its job; shared by the flows that change a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.operation import run_operation, start_operation
from flows.report import summarize

if TYPE_CHECKING:
    from coopr_core.store import Store
    from flows.changes.prepared import PreparedChange


def run_change(store: Store, prepared: PreparedChange, *, max_concurrency: int | None) -> dict[str, Any]:
    """Do the change and wait for its end; without a job when there is nothing to do. The cluster's summary."""
    cluster = prepared.cluster
    if prepared.nothing_to_do:
        return summarize(store, cluster, "", "")
    job = start_operation(
        store,
        cluster,
        prepared.operation,
        prepared.plan,
        max_concurrency=max_concurrency,
        values=prepared.parameters,
        change=prepared.change,
    )
    return run_operation(store, cluster, job)
