"""What one process needs to run tasks of one job: opened when the first comes, closed when it is not needed any more.

Promise: a task needs nothing but its id, so it runs in any process that has the store. The process that has claimed
the job opens the job's context itself; where all tasks run in that one, what it knows of the cluster is looked up once.
Any other process opens one of its own, looks at the store before each task, and closes it when no task has come for
``IDLE_SECONDS``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.records import ClusterRecord, JobRecord, TaskRecord
from coopr_core.model.states import HOLDING, JobState, TaskState
from coopr_core.store import claims
from coopr_core.work.attempts import Attempts
from coopr_core.work.halt import Halt, JobHalt

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.store import Store
    from coopr_core.work.actions import Actions

IDLE_SECONDS = 30.0
"""After how long without a task a process closes its context of a job that another process has claimed."""


@dataclass
class JobContext:
    """A job as one process works on it."""

    store: Store
    cluster: ClusterRecord
    job: JobRecord
    actions: Actions
    access: NodeAccess
    logs: Path
    parameters: JobParameters
    tasks: Mapping[str, TaskRecord]
    """The job's tasks by id, as they were when the context was opened."""
    owner: bool = True
    """Whether this process has claimed the job."""
    alone: bool = True
    """Whether no other process runs tasks of the job."""

    def __post_init__(self) -> None:
        hosts = {number: node.host_name.partition(".")[0] for number, node in self.actions.picture.nodes.items()}
        self.titles = {
            task.id: f"{f'{task.action} {task.service}'.strip()} @ {hosts[task.node]}" for task in self.tasks.values()
        }
        self.halt = JobHalt(self.access.stop)
        self.redactor = self.access.redactor
        self._attempts = Attempts(self.store, self.actions, self.redactor, self.logs, self.titles, self.halt)

    @property
    def succeeded(self) -> int:
        """How many tasks had succeeded when the context was opened."""
        return sum(task.state is TaskState.SUCCEEDED for task in self.tasks.values())

    @property
    def under_way(self) -> bool:
        """Whether a task of the job runs just now, in whatever process."""
        if self.alone:
            return self._attempts.under_way
        return bool(self.store.tasks(self.job.id, state=TaskState.RUNNING))

    def attempt(self, task_id: str, *, run_id: str, may_retry: bool, emit: Callable[[int, str], None]) -> None:
        """Try a task once, see ``Attempts.run``."""
        if not self.owner:
            self.refresh()
            self.look()
        self._attempts.run(self.tasks[task_id], run_id=run_id, may_retry=may_retry, emit=emit)

    def refresh(self) -> None:
        """Look what other processes have changed of the nodes, and which of them the job goes on without."""
        if self.alone:
            return
        failed: set[int] = set()
        if not self.owner:  # whose owner decides itself
            failed = {task.node for task in self.store.tasks(self.job.id, state=TaskState.FAILED)}
        if failed and self.parameters.policy.on_failure != "continue":
            self.halt.to(Halt.FAILED)
        self.actions.picture.refresh(failed & self.actions.picture.membership.created)

    def look(self) -> None:
        """Notice what was asked for in the store: to pause, to go on after all, to stop."""
        state = self.store.job_state(self.job.id)
        if state is JobState.PAUSED:
            self.halt.to(Halt.PAUSED)
        elif state is JobState.ABORTING:
            self.halt.to(Halt.ABORTED)
        elif state not in HOLDING:
            self.halt.to(Halt.LOST)
        else:
            self.halt.to(Halt.NONE)

    def stop(self) -> None:
        """End what runs, for the user stops this process: in every process that runs tasks of the job."""
        if self.halt.to(Halt.STOPPED) and not self.alone:
            with contextlib.suppress(CooprError):  # an unreachable database is met by the tasks themselves
                self.store.abort_job(self.job.id)

    def beat(self) -> None:
        """Look what is asked of the job and send what chatty tasks have gathered; to be called about once a second."""
        self._attempts.flush()
        with contextlib.suppress(CooprError):  # an unreachable database is met by the tasks themselves
            self.look()

    @contextlib.contextmanager
    def pulse(self) -> Iterator[None]:
        """While inside, show that the job's claim lives, and look about once a second what is asked of the job."""
        over = threading.Event()

        def beat() -> None:
            last = time.monotonic()
            while not over.wait(1):
                self.beat()
                if time.monotonic() - last >= claims.HEARTBEAT_SECONDS:
                    last = time.monotonic()
                    with contextlib.suppress(CooprError):
                        if not self.store.heartbeat(self.job.id):
                            self.halt.to(Halt.LOST)

        thread = threading.Thread(target=beat, name=f"pulse of {self.job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Contexts:
    """The contexts of one process, by job and by the run of that: one that is tried again begins with another.

    Safe to use from many threads.
    """

    def __init__(self, opened: Callable[[str], AbstractContextManager[JobContext]]) -> None:
        """Begin with none; ``opened`` opens the context of a job, by its id, that another process has claimed."""
        self._opened = opened
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    @contextlib.contextmanager
    def owned(self, context: JobContext, run: str = "") -> Iterator[None]:
        """While inside, tasks of this run of a job that this process has claimed run in this context."""
        key, entry = (context.job.id, run), _Entry(context)
        with self._lock:
            self._entries[key] = entry
        try:
            yield
        finally:
            self._forget(key, entry)

    @contextlib.contextmanager
    def using(self, job_id: str, run: str = "") -> Iterator[JobContext]:
        """Give the context of a run of a job for one task; it is opened when there is none."""
        key = job_id, run
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                closing = contextlib.ExitStack()
                entry = self._entries[key] = _Entry(closing.enter_context(self._opened(job_id)), closing)
                threading.Thread(target=self._keep, args=(key, entry), name=f"job {job_id}", daemon=True).start()
            entry.users += 1
        try:
            yield entry.context
        finally:
            with self._lock:
                entry.users -= 1
                entry.used = time.monotonic()

    def _keep(self, key: tuple[str, str], entry: _Entry) -> None:
        """Look after a context that this process has opened, and close it when it is not used any more."""
        while entry.users or time.monotonic() - entry.used < IDLE_SECONDS:
            time.sleep(1)
            entry.context.beat()
        self._forget(key, entry)
        while entry.users:  # one that came in the very last moment
            time.sleep(1)
        entry.closing.close()

    def _forget(self, key: tuple[str, str], entry: _Entry) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]


@dataclass
class _Entry:
    context: JobContext
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    users: int = 0
    used: float = field(default_factory=time.monotonic)
