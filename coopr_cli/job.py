"""Running a flow from the command: a server to run it on, its progress on stderr, its failure as one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coopr_cli.prefect_use import interrupts_told, put_talk_aside, use_server
from coopr_cli.progress import shown
from coopr_core.errors import CooprError
from coopr_core.model.ids import is_cluster_id
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.model.records import JobRecord
    from coopr_core.store import Store


def run_flow(
    store: Store,
    cluster: str,
    operation: str,
    flow: Callable[[], Any],
    *,
    quiet: bool,
    job: str = "",
    about: str = "",
) -> Any:
    """Run ``flow`` (which imports Prefect) against a server and show the job it makes on ``cluster``.

    ``cluster`` is an id, or the name of a cluster that the flow makes; ``job`` is the id of the one it continues
    instead; ``about`` is whose summary must come back, ``cluster``'s when left out. Returns what the flow returns and
    lets its errors pass; starts a Prefect server when there is none to use. Raises ``CooprError`` when the flow has
    worked on another cluster.
    """
    before = {job.id for job in _jobs(store, cluster)}

    def find_job() -> JobRecord | None:
        if job:
            return store.job(job)
        return next((job for job in _jobs(store, cluster) if job.id not in before and job.operation == operation), None)

    with interrupts_told():
        use_server(told="nothing" if quiet else "all")
        put_talk_aside()
        with shown(store, find_job, quiet=quiet):
            summary = flow()
    _check_answer(summary, about or cluster)
    return summary


def _check_answer(summary: Any, wanted: str) -> None:
    """Raise ``CooprError`` unless the summary is about the cluster with that id, or of that name."""
    given = summary["cluster_id"] if is_cluster_id(wanted) else summary["name"]
    if given != composed(wanted):
        raise CooprError(
            f"the run was to work on cluster {wanted}, and says it worked on {summary['name']} "
            f"({summary['cluster_id']}, {summary['state']})",
            hint="look at both with `coopr show`; this must not happen: please report it",
        )


def _jobs(store: Store, cluster: str) -> list[JobRecord]:
    if is_cluster_id(cluster):
        return list(store.jobs(cluster))
    found = store.called(cluster)
    return [] if found is None else list(store.jobs(found.id))
