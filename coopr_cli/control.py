"""`coopr retry`, `pause`, `resume` and `abort`: what becomes of a cluster's last job, whoever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from coopr_cli.job import run_flow
from coopr_cli.operation import flow_of
from coopr_cli.output import output_option, print_data
from coopr_cli.run_options import rerun_options
from coopr_cli.typed import Seconds
from coopr_core.model.states import HOLDING, JobState
from coopr_core.operations import registry

if TYPE_CHECKING:
    from coopr_core.model.operations import Verb
    from coopr_core.model.records import JobRecord
    from coopr_core.operations.control import Controlled
    from coopr_core.store import Store


@click.command("retry")
@click.argument("cluster")
@rerun_options
@output_option
def retry_command(cluster: str, output: str, **how: Any) -> None:
    """Run what has not succeeded of CLUSTER's last job, with the same ids and values.

    For a job that failed, was interrupted or aborted, or whose worker was killed. Nothing that succeeded runs again.
    """
    _go_on(registry.RETRY, cluster, how, output)


@click.command("resume")
@click.argument("cluster")
@rerun_options
@output_option
def resume_command(cluster: str, output: str, **how: Any) -> None:
    """Continue CLUSTER's paused job, here; or in the process that is still ending its last tasks."""
    _go_on(registry.RESUME, cluster, how, output)


@click.command("pause")
@click.argument("cluster")
@click.option("--wait", is_flag=True, help="Until nothing of the job runs any more.")
@click.option("--timeout", type=Seconds(), default=3600.0, help="Seconds to wait, at most.")
@output_option
def pause_command(cluster: str, wait: bool, timeout: float, output: str) -> None:
    """Pause CLUSTER's running job: tasks that run come to their end, none is started. 'coopr resume' continues it."""
    from coopr_core.model.states import TaskState
    from coopr_core.operations.control import prepare_pause, stop_job, wait_until_paused
    from coopr_core.store import Store

    with Store.open() as store:
        job = stop_job(store, prepare_pause(store, cluster))
        if wait:
            job = wait_until_paused(store, job.id, timeout=timeout)
        counts = store.task_counts(job.id)
        running = counts[TaskState.RUNNING] + counts[TaskState.RETRYING] if job.claimed_by else 0
        left = sum(counts.values()) - counts[TaskState.SUCCEEDED]
        _tell(store, job, output, running=running, left=left)
        if output == "table" and job.state is JobState.PAUSED:
            still = f"{running} running tasks come to their end" if running else "nothing of it runs"
            click.echo(f"Job {job.id} {job.operation} is paused: {still}, {left} tasks are left.")
            click.echo(f"Continue it with 'coopr resume {cluster}', or give it up with 'coopr abort {cluster}'.")


@click.command("abort")
@click.argument("cluster")
@click.option("--timeout", type=Seconds(), default=None, help="Seconds to wait for its end.")
@output_option
def abort_command(cluster: str, timeout: float | None, output: str) -> None:
    """End CLUSTER's job and the commands it runs on the nodes; its state is saved. 'coopr retry' goes on with it."""
    from coopr_core.operations.control import ABORT_SECONDS, prepare_abort, stop_job
    from coopr_core.store import Store

    with Store.open() as store:
        job = stop_job(store, prepare_abort(store, cluster, timeout=timeout or ABORT_SECONDS))
        _tell(store, job, output)
        if output == "table" and job.state is JobState.INTERRUPTED:
            click.echo(f"Job {job.id} {job.operation} is aborted. 'coopr retry {cluster}' goes on with it.")


def _go_on(verb: Verb, cluster: str, how: dict[str, Any], output: str) -> None:
    from coopr_core.operations.registry import declaration
    from coopr_core.store import Store

    declared = declaration(verb)
    with Store.open() as store:
        asked = cast("Controlled", declared.prepare(store, cluster))
        if asked.needed:
            flow = flow_of(declared, asked.cluster.id, {}, how, asked.digest)
            summary = run_flow(
                store, asked.cluster.id, asked.job.operation, flow, quiet=output != "table", job=asked.job.id
            )
            if output != "table":
                print_data(summary, output)
                return
        job = store.job(asked.job.id)
        if not asked.needed or job.state in HOLDING:
            _tell(store, job, output)
        else:
            name, state = asked.cluster.name, store.cluster_with_id(asked.cluster.id).state
            click.echo(f"Job {job.id} {job.operation} has succeeded; cluster {name} is {state}.")


def _tell(store: Store, job: JobRecord, output: str, **more: Any) -> None:
    """Print how a job stands: as data, or in a line when it is not where the command would have brought it."""
    cluster = store.cluster_with_id(job.cluster_id)
    if output != "table":
        value = {"cluster_id": cluster.id, "name": cluster.name, "state": str(cluster.state), "job": job.id}
        print_data({**value, "operation": str(job.operation), "job_state": str(job.state), **more}, output)
    elif job.state is JobState.RUNNING:
        from coopr_core.store.claims import shown

        click.echo(f"Job {job.id} {job.operation} is running in {shown(job.claimed_by)}; see 'coopr status'.")
    elif job.state is JobState.SUCCEEDED:
        click.echo(
            f"Nothing to do: job {job.id} {job.operation} has succeeded; cluster {cluster.name} is {cluster.state}."
        )
