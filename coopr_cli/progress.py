"""Live progress of a job: what runs now, counts and elapsed time, read from the store while the job runs.

On a terminal a few lines that redraw themselves; elsewhere one plain line per finished task. Costs one small query
every half second, whoever runs the job.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from coopr_cli.output import seconds, span
from coopr_core.cluster.states import TaskState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coopr_core.cluster.records import JobProgress, JobRecord, TaskRecord
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
                view.show(store, store.progress(job.id))
            if last:
                return


class Lines:
    """One line on stderr for every task that ended."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int]] = set()
        self._done = 0
        self._since: datetime | None = None
        self._counts: Mapping[TaskState, int] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, store: Store, progress: JobProgress) -> None:
        """Print the tasks that ended since the last look."""
        if progress.counts == self._counts:
            return
        self._counts = progress.counts
        for task in store.tasks(progress.job.id, ended_since=self._since):
            if task.ended and (task.id, task.attempts) not in self._told:
                self._since = max(self._since or task.ended, task.ended)
                self._told.add((task.id, task.attempts))
                self._done += task.state is TaskState.SUCCEEDED
                done = f"[{self._done}/{progress.total}]"
                click.echo(f"{done} {task.id} {title(task)} {task.state.lower()} in {span(seconds(task))}", err=True)


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

    def show(self, store: Store, progress: JobProgress) -> None:
        """Redraw for the job as it is now."""
        self._live.update(self._drawing(progress, store.tasks(progress.job.id, state=TaskState.RUNNING)))

    def _drawing(self, progress: JobProgress, running: list[TaskRecord]) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = progress.counts[TaskState.SUCCEEDED]
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(progress.job.id, style="bold"),
            ProgressBar(total=max(progress.total, 1), completed=done, width=32),
            f"stage {progress.stage}/{progress.stages}",
            f"{done}/{progress.total} tasks",
            span(time.monotonic() - self._began),
        )
        rows = [Text(f"  {task.id}  {title(task)}  {span(seconds(task))}", style="yellow") for task in running]
        more = len(rows) - self.ROWS
        return Group(head, *rows[: self.ROWS], *([Text(f"  and {more} more", style="dim")] if more > 0 else []))


def title(task: TaskRecord) -> str:
    """A task as people say it: ``START nats-server @ 1002``."""
    return " ".join(part for part in (task.action, task.service, "@", str(task.node)) if part)
