"""What is told of a job that did not succeed: what happened to which cluster, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from coopr_core.errors import Interrupted, TasksFailed
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord
from coopr_core.model.states import ClusterState
from coopr_core.work.attempts import Failure


class Paused(Interrupted):
    """The job was paused and no process works on it any more."""

    code = "paused"


def paused(cluster: ClusterRecord, job: JobRecord) -> Paused:
    """Tell that the job waits for somebody to resume it."""
    return Paused(
        f"{job.operation} of cluster {cluster.name} is paused; its state is saved",
        hint=f"`coopr resume {cluster.handle}` continues it, `coopr abort {cluster.handle}` gives it up",
    )


def taken_over(cluster: ClusterRecord, job: JobRecord) -> Interrupted:
    """Tell that the job is not ours any more."""
    hint = f"`coopr status {cluster.handle}` shows which"
    return Interrupted(f"job {job.id} was taken over by another process", hint=hint)


def interrupted(cluster: ClusterRecord, job: JobRecord, *, aborted: bool) -> Interrupted:
    """Tell that somebody stopped the job: here, or by `coopr abort`."""
    how = "aborted" if aborted else "interrupted"
    message = f"{job.operation} of cluster {cluster.name} was {how}; its state is saved"
    return Interrupted(message, hint="\n".join(_next_steps(cluster, job)))


def failed(
    cluster: ClusterRecord,
    job: JobRecord,
    state: ClusterState,
    failures: Sequence[Failure],
    summary: str,
    *,
    rolled_back: bool,
) -> TasksFailed:
    """Tell that tasks failed, which left the cluster in ``state``; ``summary`` names each with node and reason."""
    hints = [failure.hint for failure in failures if failure.hint]
    hints.append(f"`coopr logs {failures[0].task.id}` shows the whole log")
    if not rolled_back:
        hints += _next_steps(cluster, job)
    message = f"{job.operation} of cluster {cluster.name} failed; the cluster is {state}\n{summary}"
    return TasksFailed(message, hint="\n".join(hints))


def _next_steps(cluster: ClusterRecord, job: JobRecord) -> list[str]:
    steps = [f"`coopr retry {cluster.handle}` goes on with what has not succeeded"]
    if job.operation == Operation.CLUSTER_CREATE:
        steps.append(f"`coopr delete {cluster.handle}` removes what was made")
    return steps
