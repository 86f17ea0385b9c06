"""Running a flow from the command: a server to run it on, its progress on stderr, its failure as one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.progress import shown

if TYPE_CHECKING:
    from coopr_core.cluster.records import JobRecord
    from coopr_core.store import Store


def run_flow(store: Store, cluster: str, operation: str, flow: Callable[[], Any], *, quiet: bool, job: str = "") -> Any:
    """Run ``flow`` (which imports Prefect) against a server and show the job it makes on ``cluster``.

    ``job`` is the id of the one it continues instead. Returns what the flow returns and lets its errors pass; starts a
    Prefect server when there is none to use.
    """
    from deployments.server import configure_prefect, ensure_server

    server = ensure_server()
    if not quiet:
        verb = "Started" if server.started else "Using"
        click.echo(f"{verb} Prefect server {server.ui_url}", err=True)
    configure_prefect(server)
    before = {job.id for job in _jobs(store, cluster)}

    def find_job() -> JobRecord | None:
        if job:
            return store.job(job)
        return next((job for job in _jobs(store, cluster) if job.id not in before and job.operation == operation), None)

    with shown(store, find_job, quiet=quiet):
        return flow()


def _jobs(store: Store, cluster: str) -> list[JobRecord]:
    from coopr_core.errors import NotFound

    try:
        return list(store.jobs(store.cluster(cluster).id))
    except NotFound:
        return []
