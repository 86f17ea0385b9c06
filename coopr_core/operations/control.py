"""What a person asks of a cluster's last job: checked against the one table, and written to the store.

The process that runs the job notices within about a second. Never imports Prefect, so a job can be paused or aborted
while no Prefect server answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from coopr_core.errors import Refused, TimedOut
from coopr_core.model.records import ClusterRecord, JobRecord, NewestJob
from coopr_core.model.states import HOLDING, ClusterState, Control, JobState, check_control
from coopr_core.operations import registry
from coopr_core.operations.confirmation import Part, Parts, Prepared, cluster_parts
from coopr_core.operations.declaration import Declaration, Seconds
from coopr_core.store import Store

ABORT_SECONDS = 90.0
"""How long an abort is waited for: a worker gives its tasks 60 seconds to end."""

_LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Controlled(Prepared):
    """A cluster's last job, which may be controlled so; ``needed`` is False when there is nothing to do.

    ``timeout`` is how many seconds an abort is waited for.
    """

    cluster: ClusterRecord
    job: JobRecord
    control: Control
    needed: bool
    timeout: float = ABORT_SECONDS

    @property
    def newest(self) -> NewestJob:
        """The job as others compare it."""
        return NewestJob.of(self.job)

    @property
    def subject(self) -> str:
        """The job and its cluster."""
        return f"job {self.job.id} of cluster {self.cluster.name}"

    @property
    def parts(self) -> Parts:
        """The cluster, what is to become of which job, and how that stands."""
        return {
            **cluster_parts(self.cluster, self.newest),
            "what is asked for": Part.of(self.control, str(self.control)),
        }


def controlled(store: Store, cluster: str, control: Control) -> Controlled:
    """Find the last job of a cluster, and whether it may be paused, resumed, retried or aborted.

    A running job whose worker is gone counts as interrupted. Raises ``NotFound``, ``Busy`` or ``Refused``.
    """
    found = store.cluster(cluster, terminated=True)
    store.end_abandoned_job(found.id)
    found = store.cluster_with_id(found.id)
    if found.last_job is None:
        raise Refused(
            f"cluster {found.name} has never had a job to {control}", hint=f"`coopr delete {found.handle}` removes it"
        )
    job = store.job(found.last_job)
    needed = check_control(job.state, control, job=f"Job {job.id} {job.operation} of cluster {found.name}")
    if needed and found.state is ClusterState.TERMINATED:
        raise Refused(
            f"job {job.id} {job.operation} left nothing of cluster {found.name}: there is nothing to {control}",
            hint="Create a new cluster.",
        )
    return Controlled(found, job, control, needed)


def prepare_retry(store: Store, cluster: str) -> Controlled:
    """Run what has not succeeded of a cluster's last job, which failed or was interrupted."""
    return controlled(store, cluster, Control.RETRY)


def prepare_resume(store: Store, cluster: str) -> Controlled:
    """Continue a cluster's paused job."""
    return controlled(store, cluster, Control.RESUME)


def prepare_pause(store: Store, cluster: str) -> Controlled:
    """Pause a cluster's running job: tasks that run come to their end, none is started."""
    return controlled(store, cluster, Control.PAUSE)


def prepare_abort(store: Store, cluster: str, timeout: Seconds = ABORT_SECONDS) -> Controlled:
    """End a cluster's job and what it runs on the nodes; its state is saved.

    Args:
        timeout: How many seconds to wait for the job to end.
    """
    return replace(controlled(store, cluster, Control.ABORT), timeout=timeout)


def stop_job(store: Store, asked: Controlled) -> JobRecord:
    """Pause or abort the job as it was asked; return it, an aborted one when it has ended, INTERRUPTED as a rule.

    What a paused job runs comes to its end later. Raises ``TimedOut`` when the worker of an aborted one has not ended
    it in time; it still will.
    """
    if not asked.needed:
        return asked.job
    if asked.control is Control.PAUSE:
        return store.pause_job(asked.job.id)
    store.abort_job(asked.job.id)
    return wait_until(
        store,
        asked.job.id,
        lambda job: job.state not in HOLDING,
        asked.timeout,
        f"job {asked.job.id} of cluster {asked.cluster.name} has not ended {asked.timeout:g} s after it was asked to",
    )


def wait_until_paused(store: Store, job_id: str, *, timeout: float) -> JobRecord:
    """Wait until nothing of a paused job runs any more. Raises ``TimedOut``."""
    return wait_until(
        store,
        job_id,
        lambda job: job.state is not JobState.PAUSED or not job.claimed_by,
        timeout,
        f"tasks of job {job_id} still run {timeout:g} s after it was paused",
    )


def wait_until(
    store: Store, job_id: str, reached: Callable[[JobRecord], bool], timeout: float, otherwise: str
) -> JobRecord:
    """Look at a job until ``reached`` says yes, and return it; a worker that vanishes meanwhile is noticed."""
    deadline = time.monotonic() + timeout
    while not reached(job := store.job(job_id)):
        if time.monotonic() > deadline:
            raise TimedOut(otherwise, hint="`coopr status` shows what still runs.")
        store.end_abandoned_job(job.cluster_id)
        time.sleep(_LOOK_SECONDS)
    return job


RETRY = Declaration(registry.RETRY, prepare_retry)
RESUME = Declaration(registry.RESUME, prepare_resume)
PAUSE = Declaration(registry.PAUSE, prepare_pause, runs_job=False)
ABORT = Declaration(registry.ABORT, prepare_abort, runs_job=False)
