"""How far a job is, told in its flow run: a line per stage in the log and a progress artifact.

The API is called by a thread of its own, at most once a second, so that no task waits for the telling; a server that
does not answer is no reason to fail, since the store has the truth.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from coopr_core.model.records import JobRecord, TaskRecord
from coopr_core.planner.tasks import Task, task_type

if TYPE_CHECKING:
    from coopr_core.planner import Plan
    from flows.engine.run_log import Emit

INTERVAL = 1.0
"""How many seconds are between two calls of the API."""


class Progress:
    """Tells the flow run how its job goes; used by the flow's thread only."""

    def __init__(self, job: JobRecord, plan: Plan, done: int, emit: Emit) -> None:
        self._emit = emit
        self._plan = plan
        self._total = len(plan.tasks)
        self._done = done
        self._stages = len(plan.stages)
        self._stage = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        if self._total:
            self.say(f"job {job.id}: {self._total} tasks in {self._stages} stages")
            description = f"{job.operation} {job.id}: {self._total} tasks in {self._stages} stages"
            arguments = (self._tell, description)
            self._thread = threading.Thread(
                target=copy_context().run, args=arguments, name=f"progress of {job.id}", daemon=True
            )
            self._thread.start()

    def started(self, task: TaskRecord) -> None:
        """Take note that a task is about to start."""
        if task.stage > self._stage:
            self._stage = task.stage
            self.say(f"stage {task.stage} of {self._stages}: {_described(self._plan.stages[task.stage - 1])}")

    def ended(self, task: TaskRecord) -> None:
        """Take note that a task has succeeded."""
        self._done += 1

    def failed(self, task: TaskRecord, title: str) -> None:
        """Tell that a task has failed for good, or was interrupted."""
        self.say(f"{title} did not succeed (task {task.id}); nothing new is started", logging.ERROR)

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Write a line to the flow run's log."""
        self._emit(level, text)

    def close(self) -> None:
        """Tell the last count."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def _percent(self) -> float:
        return round(100 * self._done / self._total, 1)

    def _tell(self, description: str) -> None:
        told = self._percent
        artifact: object = None
        with contextlib.suppress(httpx.HTTPError):
            artifact = create_progress_artifact(
                progress=told,
                description=description,
                _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
            )
        if not isinstance(artifact, UUID):
            return
        over = False
        while not over:
            over = self._over.wait(INTERVAL)
            if (percent := self._percent) != told:
                with contextlib.suppress(httpx.HTTPError):
                    update_progress_artifact(
                        artifact,
                        progress=percent,
                        _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
                    )
                told = percent


def _described(stage: Sequence[Task]) -> str:
    """Return a stage in a few words: ``INSTALL app on 2 nodes, START database on 1 node``."""
    counts = Counter(task_type(task.action, task.service) for task in stage)
    return ", ".join(f"{what} on {count} node{'s' if count > 1 else ''}" for what, count in counts.items())
