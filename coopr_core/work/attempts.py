"""One attempt at a task, from its first line in the log to its outcome in the store.

Whatever happens inside, the attempt is recorded as ended before its outcome is reported, and what is reported holds no
secret and can be sent to another process. An error of the plug-in's own making is a failed attempt like any other.
Whether another attempt follows is the error's own word: never, later (not before the time a provider asked for), or
elsewhere, which only helps where machines are made.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError, Interrupted, OutcomeUnknown, Refused, Retry
from coopr_core.model.courses import MAKING
from coopr_core.model.records import AttemptRecord, TaskRecord
from coopr_core.model.states import AttemptState
from coopr_core.work.halt import Halt, JobHalt
from coopr_core.work.patience import wanted_pause
from coopr_core.work.task_log import TaskLog

if TYPE_CHECKING:
    from coopr_core.remote.redaction import Redactor
    from coopr_core.store import Store
    from coopr_core.work.actions import Actions

LAST_LINES = 10
"""How many of a failed task's last lines are shown."""


class TaskFailed(CooprError):
    """An attempt at a task failed: ``failure`` tells how, ``again`` whether another one makes sense."""

    code = "task-failed"

    def __init__(
        self, message: str, *, again: bool = False, failure: Failure | None = None, hint: str = ""
    ) -> None:  # with defaults, so that it can be pickled
        super().__init__(message, hint=hint)
        self.again = again
        self.failure = failure


class NotStarted(Interrupted):
    """A task was not tried: its job is paused, stopping, or not ours any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed for good."""

    task: TaskRecord
    title: str
    reason: str
    hint: str
    attempts: int
    tail: tuple[str, ...]
    log: Path

    def __str__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        lines = [f"{self.title} failed (task {self.task.id}, {tries}): {self.reason}"]
        if self.tail:
            lines += ["  its last lines:", *(f"    {line}" for line in self.tail[-LAST_LINES:])]
        return "\n".join([*lines, f"  its whole log: {self.log}"])


@dataclass
class Attempts:
    """Runs the attempts at a job's tasks in one process, each in the thread that calls ``run``."""

    store: Store
    actions: Actions
    redactor: Redactor
    logs: Path
    titles: Mapping[str, str]
    halt: JobHalt
    _open: set[TaskLog] = field(default_factory=set)
    _under_way: int = 0
    _not_before: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, task: TaskRecord, *, run_id: str, may_retry: bool, emit: Callable[[int, str], None]) -> None:
        """Try the task once; ``may_retry``: another attempt follows if it makes sense.

        Raises ``TaskFailed`` when that did not succeed, ``NotStarted`` when the job starts nothing more, and
        ``Interrupted`` when what ran was ended.
        """
        self._keep_away(task)
        with self._counted():
            self._run(task, run_id, may_retry, emit)

    def _run(self, task: TaskRecord, run_id: str, may_retry: bool, emit: Callable[[int, str], None]) -> None:
        title = self.titles[task.id]
        if self.halt.halted:
            raise NotStarted(f"{title} was not started: the job is stopping")
        path = self.logs / f"{task.id}.log"
        try:
            attempt = self.store.start_attempt(task.id, task_run_id=run_id, log=str(path))
        except Refused as refusal:
            raise NotStarted(f"{title} was not started: {refusal}") from None
        heading = f"{title} (task {task.id}, attempt {attempt.number})"
        with TaskLog(path, task.id, heading, self.redactor.redact, emit) as log:
            self._watch(log)
            try:
                error, status = self._perform(task, self._try(attempt), log)
            finally:
                self._unwatch(log)
            if error is None:
                self.store.finish_attempt(attempt, AttemptState.SUCCEEDED, exit_status=status)
                return
            reason = self.redactor.redact(str(error))
            if self.halt.now.ends_what_runs:
                self.store.finish_attempt(attempt, AttemptState.INTERRUPTED, message=f"interrupted: {reason}")
                raise Interrupted(f"{title} was interrupted: {reason}")
            again = may_retry and self.halt.reason is not Halt.FAILED and _helps(error.retry, task)
            if again:
                pause = wanted_pause(error)
                self._not_before[task.id] = time.monotonic() + pause
                when = f"not before {pause:g} s are over" if pause else "soon"
                log.write(f"attempt {attempt.number} failed: {reason}; it is tried again, {when}", logging.WARNING)
            else:
                log.write(f"failed: {reason}", logging.ERROR)
            state = AttemptState.UNKNOWN if isinstance(error, OutcomeUnknown) else AttemptState.FAILED
            ended = self.store.finish_attempt(attempt, state, exit_status=status, message=reason, retry=again)
            hint = self.redactor.redact(error.hint)
            failure = Failure(ended, title, reason, hint, attempt.number, tuple(log.tail)[:-1], path)
            raise TaskFailed(f"{title}: {reason}", again=again, failure=failure)

    @property
    def under_way(self) -> bool:
        """Whether any attempt runs in this process just now, from before it may begin until its end is on record."""
        with self._lock:
            return self._under_way > 0

    def flush(self) -> None:
        """Send what chatty tasks have gathered; to be called about once a second."""
        with self._lock:
            logs = list(self._open)
        for log in logs:
            log.flush()

    def _keep_away(self, task: TaskRecord) -> None:
        """Wait until the task may be tried again, unless the job halts before."""
        until = self._not_before.pop(task.id, 0.0)
        while (left := until - time.monotonic()) > 0 and not self.halt.halted:
            self.halt.wait(left)

    def _try(self, attempt: AttemptRecord) -> int:
        """Count which try it is, from 1: attempts that were only interrupted do not count."""
        if attempt.number == 1:
            return 1
        failed = (AttemptState.FAILED, AttemptState.UNKNOWN)
        return 1 + sum(earlier.state in failed for earlier in self.store.attempts(attempt.task_id))

    def _perform(self, task: TaskRecord, number: int, log: TaskLog) -> tuple[CooprError | None, int | None]:
        """Return what went wrong, if anything, and the command's exit status, if it came to one."""
        try:
            result = self.actions.perform(task, number, log)
        except CooprError as error:
            return error, None
        except Exception as error:  # noqa: BLE001 - the outermost edge of a plug-in, whose bug must end in the store
            return CooprError(f"{type(error).__name__}: {error}"), None
        if result.exit_status:
            return CooprError(f"exit status {result.exit_status}"), result.exit_status
        return None, result.exit_status

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count an attempt as under way; before the halt is looked at, so that no one begins unseen after it."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _watch(self, log: TaskLog) -> None:
        with self._lock:
            self._open.add(log)

    def _unwatch(self, log: TaskLog) -> None:
        with self._lock:
            self._open.discard(log)


def _helps(retry: Retry, task: TaskRecord) -> bool:
    """Tell whether another attempt at the task helps against an error that says ``retry``."""
    return retry is Retry.LATER or (retry is Retry.ELSEWHERE and task.action in MAKING)
