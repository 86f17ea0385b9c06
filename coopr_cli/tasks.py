"""`coopr tasks` and `coopr logs`: what a job did, task by task, and every line it printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.output import output_option, print_data, seconds, span
from coopr_cli.tables import print_table
from coopr_core.errors import NotFound
from coopr_core.model.states import TaskState

if TYPE_CHECKING:
    from coopr_core.model.records import TaskRecord
    from coopr_core.store import Store


@click.command("tasks")
@click.argument("cluster")
@click.option("--job", default="", help="A job's id or number (default: the last one).")
@click.option("--failed", is_flag=True, help="Only tasks that failed.")
@output_option
def tasks_command(cluster: str, job: str, failed: bool, output: str) -> None:
    """List the tasks of CLUSTER's last job, in the order they run."""
    from coopr_core.store import Store

    with Store.open() as store:
        wanted = TaskState.FAILED if failed else None
        rows = [_task(task) for task in store.tasks(_job_id(store, cluster, job), state=wanted)]
    if output != "table":
        print_data(rows, output)
        return
    print_table(
        ("task", ">stage", ">node", "action", "service", "state", ">attempts", ">took"),
        [
            (r["id"], r["stage"], r["node"], r["action"], r["service"], r["state"], r["attempts"], span(r["seconds"]))
            for r in rows
        ],
        drop=("attempts", "took", "stage", "action", "service"),
        empty="No tasks.",
    )


@click.command("logs")
@click.argument("subject", metavar="TASK|CLUSTER")
@click.option("-f", "--follow", is_flag=True, help="Go on printing as lines arrive, until the job ends.")
@click.option("--job", default="", help="With CLUSTER: a job's id or number (default: the last one).")
def logs_command(subject: str, follow: bool, job: str) -> None:
    """Print the log of a task (00000015-044-275), or of all tasks of a cluster's last job."""
    from coopr_core.model.ids import is_task_id
    from coopr_core.store import Store

    with Store.open() as store:
        if is_task_id(subject):
            tasks = [store.task(subject)]
            job_id = tasks[0].job_id
        else:
            job_id = _job_id(store, subject, job)
            tasks = store.tasks(job_id)
        several = len(tasks) > 1
        positions: dict[str, int] = {}
        while True:
            ended = store.job(job_id).ended is not None
            for task in store.tasks(job_id) if several else tasks:
                _print_new(store, task, positions, several=several, whole=follow and not ended)
            if not follow or ended:
                break
            time.sleep(0.5)


def _print_new(store: Store, task: TaskRecord, positions: dict[str, int], *, several: bool, whole: bool) -> None:
    """Print what was added since the last look; ``whole``: a line that is still being written waits for the next."""
    prefix = f"{task.id} | " if several else ""
    for path in _log_files(store, task):
        with open(path, "rb") as file:
            file.seek(positions.setdefault(str(path), 0))
            for raw in file:
                if whole and not raw.endswith(b"\n"):
                    break
                positions[str(path)] += len(raw)
                for line in raw.decode(errors="replace").rstrip("\r\n").split("\r"):
                    click.echo(prefix + line)


def _log_files(store: Store, task: TaskRecord) -> Iterator[Path]:
    named = dict.fromkeys(attempt.log for attempt in store.attempts(task.id) if attempt.log)
    return (path for path in map(Path, named) if path.exists())


def _job_id(store: Store, cluster: str, job: str) -> str:
    record = store.cluster(cluster, terminated=True)
    jobs = store.jobs(record.id)
    if not jobs:
        raise NotFound(f"cluster {record.name} has no jobs yet")
    if not job:
        return jobs[-1].id
    for candidate in jobs:
        if job == candidate.id or (job.isdecimal() and int(job) == int(candidate.id.split("-")[1])):
            return candidate.id
    raise NotFound(f"cluster {record.name} has no job {job}", hint=f"its jobs: {', '.join(each.id for each in jobs)}")


def _task(task: TaskRecord) -> dict[str, Any]:
    return {
        "id": task.id,
        "stage": task.stage,
        "node": task.node,
        "action": task.action,
        "service": task.service,
        "state": task.state.value,
        "attempts": task.attempts,
        "exit_status": task.exit_status,
        "seconds": seconds(task),
        "started": task.started,
        "ended": task.ended,
        "message": task.message,
        "log": task.log,
        "task_run_id": task.task_run_id,
    }
