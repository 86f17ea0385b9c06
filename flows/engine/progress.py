"""How far a job is, told in its flow run: a line per stage in the log and a progress artifact.

At most one call of the API a second; a server that does not answer is no reason to fail, since the store has the truth.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
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


class Progress:
    """Tells the flow run how its job goes; used by the flow's thread only."""

    def __init__(self, job: JobRecord, plan: Plan, done: int, emit: Emit) -> None:
        self._emit = emit
        self._plan = plan
        self._total = len(plan.tasks)
        self._done = done
        self._stages = len(plan.stages)
        self._stage = 0
        self._told = 0.0
        self._artifact: UUID | None = None
        if self._total:
            self.say(f"job {job.id}: {self._total} tasks in {self._stages} stages")
            description = f"{job.operation} {job.id}: {self._total} tasks in {self._stages} stages"
            with contextlib.suppress(httpx.HTTPError):
                artifact = create_progress_artifact(
                    progress=self._percent,
                    description=description,
                    _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
                )
                self._artifact = artifact if isinstance(artifact, UUID) else None

    def started(self, task: TaskRecord) -> None:
        """A task is about to start."""
        if task.stage > self._stage:
            self._stage = task.stage
            self.say(f"stage {task.stage} of {self._stages}: {_described(self._plan.stages[task.stage - 1])}")

    def ended(self, task: TaskRecord) -> None:
        """A task has succeeded."""
        self._done += 1
        if time.monotonic() - self._told >= INTERVAL:
            self._tell()

    def failed(self, task: TaskRecord, title: str) -> None:
        """A task has failed for good, or was interrupted."""
        self.say(f"{title} did not succeed (task {task.id}); nothing new is started", logging.ERROR)

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Write a line to the flow run's log."""
        self._emit(level, text)

    def close(self) -> None:
        """Tell the last count."""
        self._tell()

    @property
    def _percent(self) -> float:
        return round(100 * self._done / self._total, 1) if self._total else 100.0

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self._artifact is not None:
            with contextlib.suppress(httpx.HTTPError):
                update_progress_artifact(
                    self._artifact,
                    progress=self._percent,
                    _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
                )


def _described(stage: Sequence[Task]) -> str:
    """A stage in a few words: ``INSTALL app on 2 nodes, START database on 1 node``."""
    counts = Counter(task_type(task.action, task.service) for task in stage)
    return ", ".join(f"{what} on {count} node{'s' if count > 1 else ''}" for what, count in counts.items())
