"""Live progress of a job: what runs now, counts and elapsed time, read from the store while the job runs.

On a terminal a few lines that redraw themselves; elsewhere one plain line per finished task. Costs one small query
every half second, whoever runs the job.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from coopr_cli.output import span

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coopr_core.cluster.records import JobRecord, TaskRecord
    from coopr_core.store import Store

INTERVAL = 0.5


@contextmanager
def shown(store: Store, find_job: Callable[[], JobRecord | None], *, quiet: bool = False) -> Iterator[None]:
    """Show the progress of the job that ``find_job`` finds, for as long as the block runs."""
    if quiet:
        yield
        return
    stop = threading.Event()
    view = Terminal() if sys.stderr.isatty() else Lines()
    thread = threading.Thread(target=_watch, args=(store, find_job, view, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _watch(
    store: Store, find_job: Callable[[], JobRecord | None], view: Terminal | Lines, stop: threading.Event
) -> None:
    job: JobRecord | None = None
    with view:
        while True:
            last = stop.wait(INTERVAL)
            job = job or find_job()
            if job:
                view.show(job, store.tasks(job.id))
            if last:
                return


class Lines:
    """One line on stderr for every attempt that ended."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, _job: JobRecord, tasks: list[TaskRecord]) -> None:
        """Print the tasks that ended since the last look."""
        done = sum(task.state.name == "COMPLETE" for task in tasks)
        for task in tasks:
            ended = (task.id, task.state.name)
            if task.ended_at and ended not in self._told and task.state.name in ("COMPLETE", "FAILED"):
                self._told.add(ended)
                click.echo(
                    f"[{done}/{len(tasks)}] {task.id} {title(task)} {task.state.name.lower()} {_took(task)}", err=True
                )


class Terminal:
    """A bar with stage, counts and elapsed time, and the tasks running now."""

    ROWS = 8

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._began = time.monotonic()
        self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)

    def __enter__(self) -> Terminal:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, job: JobRecord, tasks: list[TaskRecord]) -> None:
        """Redraw for the tasks as they are now."""
        self._live.update(self._drawing(job, tasks))

    def _drawing(self, job: JobRecord, tasks: list[TaskRecord]) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = sum(task.state.name == "COMPLETE" for task in tasks)
        running = [task for task in tasks if task.state.name == "RUNNING"]
        stages = max((task.stage for task in tasks), default=0) + 1
        stage = min((task.stage for task in tasks if task.state.name != "COMPLETE"), default=stages - 1) + 1
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(job.id, style="bold"),
            ProgressBar(total=max(len(tasks), 1), completed=done, width=32),
            f"stage {stage}/{stages}",
            f"{done}/{len(tasks)} tasks",
            span(time.monotonic() - self._began),
        )
        rows = [Text(f"  {task.id}  {title(task)}  {_took(task)}", style="yellow") for task in running[: self.ROWS]]
        if len(running) > self.ROWS:
            rows.append(Text(f"  and {len(running) - self.ROWS} more", style="dim"))
        return Group(head, *rows)


def title(task: TaskRecord) -> str:
    """A task as people say it: ``START nats-server @ 1002``."""
    return " ".join(part for part in (task.action, task.service, "@", str(task.node)) if part)


def _took(task: TaskRecord) -> str:
    from datetime import UTC, datetime

    if task.started_at is None:
        return ""
    return span(((task.ended_at or datetime.now(UTC)) - task.started_at).total_seconds())
