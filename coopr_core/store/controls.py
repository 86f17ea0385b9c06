"""What people do to a cluster's last job: pause, resume, retry and abort it, from any process.

Promise: a request is a state in the store, which the job's worker notices; whoever asks first wins, and no task is ever
run by two workers, because a paused job can only be taken by another process once its worker has let go of it
(``leave_job``) or is gone. Each call is one transaction.
"""

from __future__ import annotations

from sqlalchemy import update

from coopr_core.errors import Busy, Refused
from coopr_core.model.records import JobRecord, NewestJob
from coopr_core.model.states import ClusterState, Control, JobState, check_control
from coopr_core.store import claims
from coopr_core.store.job_end import check_free, end_job, is_stale, reset_tasks
from coopr_core.store.jobs import Jobs, check_seen, find_job, is_job
from coopr_core.store.ledger.events import JOB_ABORTING, JOB_PAUSED, JOB_RESUMED, note
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import Row, job_key, job_record, now
from coopr_core.store.schema import clusters, jobs


class Controls(Jobs):
    """The part of the store that keeps jobs, with what people do to them."""

    def pause_job(self, job_id: str) -> JobRecord:
        """Let nothing new of a running job start; it holds its cluster until it is resumed or aborted."""
        key = job_key(job_id)
        self.end_abandoned_job(job_id.rpartition("-")[0])
        with self._database.write(durable=True) as connection:
            find_cluster(connection, job_id.rpartition("-")[0], lock=True)
            job = find_job(connection, key)
            if check_control(job["state"], Control.PAUSE, job=f"Job {job_id}"):
                connection.execute(update(jobs).where(*is_job(key)).values(state=JobState.PAUSED))
                note(connection, key[0], JOB_PAUSED, job=key[1], operation=job["operation"])
            return job_record(find_job(connection, key))

    def leave_job(self, job_id: str, *, claimed_by: str = "") -> bool:
        """Let go of a paused job when none of its tasks runs any more; False when it is not paused (any more)."""
        mine = jobs.c.claimed_by == (claimed_by or claims.claimant())
        with self._database.write(durable=True) as connection:
            query = update(jobs).where(*is_job(job_key(job_id)), jobs.c.state == JobState.PAUSED, mine)
            return connection.execute(query.values(claimed_by="", heartbeat_at=None)).rowcount == 1

    def unpause_job(self, job_id: str) -> bool:
        """Let a paused job go on in the worker that has not let go of it yet; False when there is none."""
        key = job_key(job_id)
        with self._database.write(durable=True) as connection:
            find_cluster(connection, job_id.rpartition("-")[0], lock=True)
            job = find_job(connection, key)
            if job["state"] != JobState.PAUSED or not _is_held(job):
                return False
            connection.execute(update(jobs).where(*is_job(key)).values(state=JobState.RUNNING))
            note(connection, key[0], JOB_RESUMED, job=key[1], operation=job["operation"])
            return True

    def abort_job(self, job_id: str) -> JobRecord:
        """Ask the job's worker to end what runs; a job that nobody works on is INTERRUPTED at once."""
        key = job_key(job_id)
        self.end_abandoned_job(job_id.rpartition("-")[0])
        with self._database.write(durable=True) as connection:
            find_cluster(connection, job_id.rpartition("-")[0], lock=True)
            job = find_job(connection, key)
            if check_control(job["state"], Control.ABORT, job=f"Job {job_id}"):
                if job["state"] == JobState.PAUSED and not _is_held(job):
                    end_job(connection, job, JobState.INTERRUPTED, "aborted while it was paused")
                elif job["state"] != JobState.ABORTING:
                    connection.execute(update(jobs).where(*is_job(key)).values(state=JobState.ABORTING))
                    note(connection, key[0], JOB_ABORTING, job=key[1], operation=job["operation"])
            return job_record(find_job(connection, key))

    def resume_job(self, job_id: str, *, claimed_by: str = "", seen: NewestJob | None = None) -> JobRecord:
        """Claim the cluster for a job that did not succeed; its tasks that did not are WAITING again, same ids.

        ``seen`` is the job as it was when resuming it was asked for. Raises ``Overtaken`` when it is not so any more,
        ``Busy`` while this or another job is running, ``Refused`` when the job succeeded, when a newer job has
        been there since, or when the cluster is gone.
        """
        cluster_id = job_id.rpartition("-")[0]
        key = job_key(job_id)
        self.end_abandoned_job(cluster_id)
        with self.claiming(cluster_id) as connection:
            cluster = find_cluster(connection, cluster_id, lock=True)
            before = find_job(connection, key)
            label = f"Job {job_id} {before['operation']} of cluster {cluster['name']}"
            if before["state"] != JobState.PAUSED:
                check_free(connection, cluster)
            elif _is_held(before):
                raise Busy(f"{label} is pausing: its running tasks have to end first", hint="Try again in a moment.")
            if before["state"] == JobState.SUCCEEDED:
                raise Refused(f"{label} has succeeded", hint="There is nothing left to resume.")
            if before["state"] == JobState.ROLLED_BACK:
                raise Refused(f"{label} was rolled back", hint="What it made is gone; start a new one.")
            if cluster["last_job"] != key[1]:
                raise Refused(
                    f"{label} is not the cluster's last job", hint="Only the last job can be resumed; start a new one."
                )
            if cluster["state"] == ClusterState.TERMINATED:
                raise Refused(f"{label} cannot be resumed: the cluster is gone", hint="Create a new cluster.")
            check_seen(connection, cluster, seen)
            time = now()
            values = {
                "state": JobState.RUNNING,
                "ended": None,
                "heartbeat_at": time,
                "claimed_by": claimed_by or claims.claimant(),
                "message": "",
            }
            connection.execute(update(jobs).where(*is_job(key)).values(values))
            reset_tasks(connection, key)
            connection.execute(
                update(clusters).where(clusters.c.id == key[0]).values(state=ClusterState.PENDING, updated=time)
            )
            note(connection, key[0], JOB_RESUMED, job=key[1], operation=before["operation"])
            return job_record(find_job(connection, key))


def _is_held(job: Row) -> bool:
    """Tell whether a process still works on a paused job."""
    return bool(job["claimed_by"]) and not is_stale(job)
