"""The flow ``rebuild-cluster``: a cluster is made again from its request, and only then the old one is deleted.

If the new one cannot be made, the old one has not been touched and what was made of the new one is deleted again, or
named where that fails. A rebuild that was cut short goes on where it stands when it is called again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from prefect import runtime

from coopr_core.errors import CooprError, Interrupted, Overtaken, Refused, TasksFailed
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState
from coopr_core.operations.confirmation import as_confirmed
from coopr_core.operations.rebuild import REBUILT_WITH, Rebuild, prepare_rebuild
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.deletion import run_deletion
from flows.operation import continue_job, parameters_of, run_operation
from flows.report import publish_cluster, summarize

if TYPE_CHECKING:
    from coopr_core.planner import Schedule


@cluster_flow("rebuild-cluster", "rebuild-cluster {cluster}", one_job=False)
def rebuild_cluster(
    cluster: str,
    in_place: bool = False,
    catalog: list[str] | None = None,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Make a cluster again from the same request, then delete the old one; the new one takes over its name.

    Args:
        cluster: The cluster's name or id.
        in_place: Delete the old cluster first; needs no room for both, but there is none for a while.
        catalog: Folders with templates and services, laid over the catalog the cluster was made from.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The new cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        with as_confirmed(confirmed):
            rebuild = prepare_rebuild(store, cluster, in_place=in_place, catalog=catalog or ())
            if not _goes_on(store):
                rebuild.check(confirmed)
        made = rebuild.made
        if made is None and rebuild.old is not None and (in_place or rebuild.old_is_deleted):
            if not rebuild.old_is_deleted:
                remembered = {REBUILT_WITH: list(rebuild.facts.catalog)}
                run_deletion(
                    store,
                    rebuild.old,
                    max_concurrency=max_concurrency,
                    values=remembered,
                    seen=rebuild.newest,
                    confirmed=confirmed,
                )
            return _create(store, rebuild, rebuild.name, max_concurrency)
        if made is None or made.state is not ClusterState.ACTIVE:
            made = _create_beside(store, rebuild, max_concurrency)
        if rebuild.old is not None:
            _delete_old(store, rebuild.old, rebuild, max_concurrency)
        made = store.take_name(made.id, rebuild.name)
        summary = summarize(store, made, store.jobs(made.id)[0].id, str(runtime.flow_run.ui_url or ""))
        publish_cluster(store, summary)
    return summary


def _goes_on(store: Store) -> bool:
    """Whether Prefect runs this flow run again and it had begun a job: what is there now is partly its own doing."""
    run_id = runtime.flow_run.id
    return bool(run_id) and runtime.flow_run.run_count > 1 and store.job_of_flow_run(str(run_id)) is not None


def _delete_old(store: Store, old: ClusterRecord, rebuild: Rebuild, max_concurrency: int | None) -> None:
    """Delete the old cluster, if nothing was done to it while the new one was made."""
    try:
        run_deletion(store, old, max_concurrency=max_concurrency, seen=rebuild.newest)
    except Overtaken as error:
        raise Refused(
            f"the new cluster {rebuild.next_name} is ACTIVE, but the old one is not deleted. {error.message}",
            hint=f"look at both; `coopr rebuild {rebuild.name}` again deletes the old one, "
            f"`coopr delete {rebuild.next_name}` the new one",
        ) from error


def _create_beside(store: Store, rebuild: Rebuild, max_concurrency: int | None) -> ClusterRecord:
    """The new cluster, ACTIVE, under its temporary name; when that fails, nothing of it is left but what is named."""
    try:
        if rebuild.made is None:
            summary = _create(store, rebuild, rebuild.next_name, max_concurrency)
        else:
            summary = continue_job(store, rebuild.made, store.jobs(rebuild.made.id)[-1])
    except Interrupted:
        raise
    except CooprError as failure:
        if not isinstance(failure, TasksFailed) and not _unfinished(store, rebuild.next_name):
            raise
        left = _remove(store, rebuild.next_name, max_concurrency)
        raise TasksFailed(
            f"the new cluster for {rebuild.name} could not be made; {rebuild.name} is as it was. {left}\n{failure}",
            hint=f"correct what failed, then `coopr rebuild {rebuild.name}` again",
        ) from failure
    return store.cluster_with_id(summary["cluster_id"])


def _create(store: Store, rebuild: Rebuild, name: str, max_concurrency: int | None) -> dict[str, Any]:
    assert rebuild.new is not None
    assert rebuild.old is not None
    cluster, job = store.begin_cluster(
        rebuild.new.request,
        rebuild.new.template,
        rebuild.new.layout,
        rebuild.new.plan,
        owner=rebuild.old.owner,
        tenant=rebuild.old.tenant,
        expires_at=rebuild.new.expires_at,
        facts=rebuild.facts,
        parameters=parameters_of(
            schedule=cast("Schedule | None", rebuild.schedule or None),
            max_concurrency=max_concurrency,
            named=rebuild.name,
        ),
        flow_run_id=str(runtime.flow_run.id or ""),
        name=name,
    )
    return run_operation(store, cluster, job)


def _remove(store: Store, name: str, max_concurrency: int | None) -> str:
    """Delete what there is of the new cluster that failed; what became of it, in words."""
    left = _unfinished(store, name)
    if not left:
        return "The new one had no machine yet."
    try:
        run_deletion(store, left[0], max_concurrency=max_concurrency)
    except CooprError as error:
        return f"What was made of the new one could not be deleted: `coopr delete {name}` ({left[0].id}): {error}"
    return "What was made of the new one is deleted."


def _unfinished(store: Store, name: str) -> list[ClusterRecord]:
    found = store.called(name)
    return [] if found is None else [found]
