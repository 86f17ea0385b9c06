"""Live progress of a job: what runs now, counts and elapsed time, read from the store while the job runs.

On a terminal a few lines that redraw themselves; elsewhere one plain line for every end of a task, none lost and none
twice. Costs small queries every half second, whoever runs the job; a database that cannot be asked is asked again.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from coopr_cli.output import Timed, seconds, span
from coopr_core.model.states import AttemptState, TaskState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coopr_core.model.records import AttemptRecord, JobProgress, JobRecord, TaskRecord
    from coopr_core.store import Store

INTERVAL = 0.5


@contextmanager
def shown(store: Store, find_job: Callable[[], JobRecord | None], *, quiet: bool = False) -> Iterator[None]:
    """Show the progress of the job that ``find_job`` finds, for as long as the block runs.

    Of a job that is there already, only what happens from now on is told.
    """
    if quiet:
        yield
        return
    stop = threading.Event()
    view = Terminal() if sys.stderr.isatty() else Lines()
    job = find_job()
    if job:
        view.begin(store, job)
    thread = threading.Thread(target=_watch, args=(store, find_job, view, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(
    store: Store, find_job: Callable[[], JobRecord | None], view: Terminal | Lines, stop: threading.Event
) -> None:
    from coopr_core.store.failures import StoreUnavailable

    job: JobRecord | None = None
    with view:
        while True:
            last = stop.wait(INTERVAL)
            with contextlib.suppress(StoreUnavailable):
                job = job or find_job()
                if job:
                    view.show(store, store.progress(job.id))
            if last:
                return


class Lines:
    """One line on stderr for every end of a task; one that is tried again has an end for each attempt."""

    LATE_SECONDS = 5.0
    """An end recorded that much after others, which came later, is found at once; one still later by its absence."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int]] = set()
        self._succeeded: set[str] = set()
        self._interrupted: set[tuple[str, int]] = set()
        self._newest: datetime | None = None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, store: Store, job: JobRecord) -> None:
        """Take what has ended already as told."""
        for task, attempt in store.ends(job.id):
            self._take(task, attempt)
        for task in store.tasks(job.id, state=TaskState.INTERRUPTED):
            self._interrupted.add((task.id, task.attempts))

    def show(self, store: Store, progress: JobProgress) -> None:
        """Print the ends that were recorded since the last look, whenever they came."""
        recorded = store.count_ends(progress.job.id)
        for since in (self._newest and self._newest - timedelta(seconds=self.LATE_SECONDS), None):
            if len(self._told) >= recorded:
                break
            for task, attempt in store.ends(progress.job.id, since=since):
                if self._take(task, attempt):
                    self._print(progress, task, _outcome(task, attempt), attempt)
        if progress.counts[TaskState.INTERRUPTED]:
            for task in store.tasks(progress.job.id, state=TaskState.INTERRUPTED):
                if (task.id, task.attempts) not in self._interrupted:  # while it waited to be tried again
                    self._interrupted.add((task.id, task.attempts))
                    self._print(progress, task, task.state.lower(), task)

    def _take(self, task: TaskRecord, attempt: AttemptRecord) -> bool:
        """Whether this end is news."""
        if attempt.ended is None or (task.id, attempt.number) in self._told:
            return False
        self._told.add((task.id, attempt.number))
        self._newest = max(self._newest or attempt.ended, attempt.ended)
        if attempt.state is AttemptState.SUCCEEDED:
            self._succeeded.add(task.id)
        if _outcome(task, attempt) == TaskState.INTERRUPTED.lower():
            self._interrupted.add((task.id, attempt.number))
        return True

    def _print(self, progress: JobProgress, task: TaskRecord, outcome: str, work: Timed) -> None:
        done = f"[{len(self._succeeded)}/{progress.total}]"
        click.echo(f"{done} {task.id} {title(task)} {outcome} in {span(seconds(work))}", err=True)


def _outcome(task: TaskRecord, attempt: AttemptRecord) -> str:
    """How an attempt ended, in the word for the task then."""
    if attempt.number == task.attempts and task.state not in (TaskState.WAITING, TaskState.RUNNING):
        return task.state.lower()
    failed = attempt.state in (AttemptState.FAILED, AttemptState.UNKNOWN)
    return (TaskState.RETRYING if failed else attempt.state).lower()


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

    def begin(self, store: Store, job: JobRecord) -> None:
        """Nothing to do: it is drawn as it is."""

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
            ProgressBar(total=max(progress.total, 1), completed=done, width=20),
            f"stage {progress.stage}/{progress.stages}",
            f"{done}/{progress.total} tasks",
            span(time.monotonic() - self._began),
        )
        lines = [f"  {task.id}  {title(task)}  {span(seconds(task))}" for task in running]
        rows = [Text(line, style="yellow", no_wrap=True, overflow="ellipsis") for line in lines]
        more = len(rows) - self.ROWS
        return Group(head, *rows[: self.ROWS], *([Text(f"  and {more} more", style="dim")] if more > 0 else []))


def title(task: TaskRecord) -> str:
    """Return a task as people say it: ``START nats-server @ 1002``."""
    return " ".join(part for part in (task.action, task.service, "@", str(task.node)) if part)
