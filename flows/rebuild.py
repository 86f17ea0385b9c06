"""What ``rebuild-cluster`` does: a cluster is made again from its request, and only then the old one is deleted.

If the new one cannot be made, the old one has not been touched and what was made of the new one is deleted again, or
named where that fails. A rebuild that was cut short goes on where it stands when it is called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from prefect import runtime

from coopr_core.errors import CooprError, Interrupted, Overtaken, Refused, TasksFailed
from coopr_core.model.records import ClusterRecord, NewestJob
from coopr_core.model.states import ClusterState
from coopr_core.operations.create import facts_of
from coopr_core.operations.delete import prepare_removal
from coopr_core.operations.rebuild import REBUILT_WITH, Rebuild
from coopr_core.store import Store
from flows.execution import How, execute_job
from flows.operation import continue_job, parameters_of, run_operation
from flows.report import publish_cluster, summarize
from flows.vault import VAULT

if TYPE_CHECKING:
    from coopr_core.planner import Schedule


def run_rebuild(rebuild: Rebuild, store: Store, how: How) -> dict[str, Any]:
    """Make the new cluster and delete the old one, in the order asked for; the new one takes over its name."""
    made = rebuild.made
    if made is None and rebuild.old is not None and (rebuild.in_place or rebuild.old_is_deleted):
        if not rebuild.old_is_deleted:
            remembered = {REBUILT_WITH: list(rebuild.catalog)}
            _delete(store, rebuild.old, how, seen=rebuild.newest, parameters=remembered)
        return _create(store, rebuild, rebuild.name, how)
    if made is None or made.state is not ClusterState.ACTIVE:
        made = _create_beside(store, rebuild, how)
    if rebuild.old is not None:
        _delete_old(store, rebuild.old, rebuild, how)
    made = store.take_name(made.id, rebuild.name)
    summary = summarize(store, made, store.jobs(made.id)[0].id, str(runtime.flow_run.ui_url or ""))
    publish_cluster(store, summary)
    return summary


def _delete(
    store: Store,
    cluster: ClusterRecord,
    how: How,
    *,
    seen: NewestJob | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Claim a living cluster and delete it; ``seen`` is its newest job when this was asked for, now when left out."""
    removal = prepare_removal(store, cluster)
    execute_job(replace(removal, newest=seen or removal.newest, parameters=parameters or {}), store, how)


def _delete_old(store: Store, old: ClusterRecord, rebuild: Rebuild, how: How) -> None:
    """Delete the old cluster, if nothing was done to it while the new one was made."""
    try:
        _delete(store, old, replace(how, confirmed=""), seen=rebuild.newest)
    except Overtaken as error:
        raise Refused(
            f"the new cluster {rebuild.next_name} is ACTIVE, but the old one is not deleted. {error.message}",
            hint=f"look at both; `coopr rebuild {rebuild.name}` again deletes the old one, "
            f"`coopr delete {rebuild.next_name}` the new one",
        ) from error


def _create_beside(store: Store, rebuild: Rebuild, how: How) -> ClusterRecord:
    """Make the new cluster under its temporary name; when that fails, nothing of it is left but what is named."""
    try:
        if rebuild.made is None:
            summary = _create(store, rebuild, rebuild.next_name, how)
        else:
            job = store.jobs(rebuild.made.id)[-1]
            summary = continue_job(store, rebuild.made, job, schedule=how.schedule, max_concurrency=how.max_concurrency)
    except Interrupted:
        raise
    except CooprError as failure:
        if not isinstance(failure, TasksFailed) and store.called(rebuild.next_name) is None:
            raise
        left = _remove(store, rebuild.next_name, how)
        raise TasksFailed(
            f"the new cluster for {rebuild.name} could not be made; {rebuild.name} is as it was. {left}\n{failure}",
            hint=f"correct what failed, then `coopr rebuild {rebuild.name}` again",
        ) from failure
    return store.cluster_with_id(summary["cluster_id"])


def _create(store: Store, rebuild: Rebuild, name: str, how: How) -> dict[str, Any]:
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
        facts=facts_of(rebuild.new, rebuild.catalog, VAULT),
        parameters=parameters_of(
            schedule=how.schedule or cast("Schedule | None", rebuild.schedule or None),
            max_concurrency=how.max_concurrency,
            named=rebuild.name,
        ),
        flow_run_id=str(runtime.flow_run.id or ""),
        name=name,
    )
    return run_operation(store, cluster, job)


def _remove(store: Store, name: str, how: How) -> str:
    """Delete what there is of the new cluster that failed; return what became of it, in words."""
    left = store.called(name)
    if left is None:
        return "The new one had no machine yet."
    try:
        _delete(store, left, replace(how, confirmed=""))
    except CooprError as error:
        return f"What was made of the new one could not be deleted: `coopr delete {name}` ({left.id}): {error}"
    return "What was made of the new one is deleted."
