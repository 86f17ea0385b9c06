"""One job being run: hands out the tasks of its plan as they become ready, and takes what they came to.

Promise: a task is handed out when all it waits for is done, never more at once than ``max_concurrency``; so whatever
runs them can neither deadlock nor queue up work that a failure should have stopped. After the first failure, or when
somebody pauses or stops the job, nothing new is handed out, what runs ends, and the store says what was left. Ends are
told by the futures of those who run the tasks, not looked for. Memory does not grow with the tasks done.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from coopr_core.errors import CooprError, Interrupted
from coopr_core.model.records import TaskRecord
from coopr_core.model.states import JobState, TaskState
from coopr_core.planner import Plan, Schedule, Task
from coopr_core.planner.walk import Walker
from coopr_core.work.attempts import Failure, NotStarted, TaskFailed
from coopr_core.work.halt import Halt
from coopr_core.work.job import conclusion
from coopr_core.work.job.after_failure import AfterFailure
from coopr_core.work.job.context import JobContext
from coopr_core.work.job.signals import Stoppable

MOST_UNSERVED = 10
"""How often a task is handed out again that whatever runs tasks could not even try."""

GRACE_SECONDS = 60
"""How long a stopped job waits for its running tasks to end."""


class Unserved(CooprError):
    """Whatever runs tasks failed to run one, through no fault of the task."""


class Teller(Protocol):
    """Who hears how a job goes; called by the job's thread only."""

    def started(self, task: TaskRecord) -> None:
        """Hear that a task is about to start."""

    def ended(self, task: TaskRecord) -> None:
        """Hear that a task has succeeded."""

    def failed(self, task: TaskRecord, title: str) -> None:
        """Hear that a task has failed for good, or was interrupted."""

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Hear a line about the whole job."""


@dataclass
class JobRun:
    """One job being run by this process: ``run`` calls what starts its tasks, which takes them from ``ready``."""

    context: JobContext
    plan: Plan
    schedule: Schedule
    max_concurrency: int
    teller: Teller
    after_failure: AfterFailure
    """What is done about nodes that could not be made."""
    finish: Callable[[], None] | None = None
    """Called when every task has succeeded, before the job counts as done."""
    cut_off_by: Callable[[Exception], CooprError | None] = lambda error: None
    """What is told of an error that means the server is gone which the tasks run under; None of any other error."""
    failures: list[Failure] = field(default_factory=list)
    given_up: list[Failure] = field(default_factory=list)
    """Failures the job goes on after, each without its node."""

    _settled: str = ""
    _records: dict[Task, TaskRecord] = field(default_factory=dict)
    _running: set[Task] = field(default_factory=set)
    _again: deque[Task] = field(default_factory=deque)
    _ended: queue.SimpleQueue[tuple[Task, Future[None]]] = field(default_factory=queue.SimpleQueue)
    _unserved: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._store = self.context.store
        self._halt = self.context.halt
        self._records = {Task(r.node, r.action, r.service): r for r in self.context.tasks.values()}

    def run(self, work: Callable[[], None], signals: tuple[type[BaseException], ...] = (KeyboardInterrupt,)) -> None:
        """Run every task of the plan that has not succeeded yet, and end the job in the store.

        ``work`` starts each task that ``ready`` hands out, until there is none; ``signals`` are the exceptions that
        reach the main thread when the user wants it stopped. Raises ``TasksFailed`` with a summary, ``Interrupted``
        when the user or a newer job stopped it, ``Paused``; the signal itself is the ``Interrupted``'s cause.
        """
        stoppable = Stoppable(self._stop, signals)
        try:
            with self.context.pulse():
                stoppable.run(lambda: self._work(work))
        except BaseException as error:
            cut_off = self._cut_off_by(error)
            if cut_off is not None:
                self._finish(JobState.INTERRUPTED, cut_off.message)
                raise cut_off from error
            told = (
                str(error) if isinstance(error, CooprError) else f"the engine failed: {type(error).__name__}: {error}"
            )
            self._finish(JobState.FAILED, told)
            raise
        self._conclude(stoppable.received)

    def ready(self) -> Iterator[Task]:
        """Hand out each task that may start, as it becomes ready, until none will; each must be told to ``started``.

        In between, wait for tasks that run and take what they came to.
        """
        done = {task for task, record in self._records.items() if record.state is TaskState.SUCCEEDED}
        walker = self.plan.walk(schedule=self.schedule, done=done)
        while True:
            if not self._halt.halted:
                self._again.extend(walker.ready())
            while self._again and len(self._running) < self.max_concurrency and not self._halt.halted:
                task = self._again.popleft()
                self._running.add(task)
                self.teller.started(self._records[task])
                yield task
            if not self._running:
                if self._halt.reason is Halt.PAUSED and not walker.finished and not self._leave():
                    continue
                if self._halt.reason is Halt.NONE and not walker.finished:
                    self._halt.to(Halt.STOPPED)  # whatever ended its tasks: a job is not done without them
                return
            with contextlib.suppress(queue.Empty):
                self._take(walker, *self._ended.get(timeout=0.5))
            if self._halt.now.overdue(GRACE_SECONDS):
                names = ", ".join(self.title(task) for task in sorted(self._running))
                self.teller.say(f"left behind, they did not end in time: {names}", logging.WARNING)
                return
            if self._halt.reason is Halt.CUT_OFF and not self.context.under_way:
                return  # what is left waits for a server that is gone, not for a node

    def started(self, task: Task, future: Future[None]) -> None:
        """Take note that a task was started; ``future`` ends with nothing, or raises what the task raised.

        It raises ``Unserved`` when the task could not be tried for a reason that is not its own.
        """
        future.add_done_callback(lambda ended: self._ended.put((task, ended)))

    def record(self, task: Task) -> TaskRecord:
        """Return the record of a task as it was when the run began."""
        return self._records[task]

    def title(self, task: Task) -> str:
        """Return the name of a task for people."""
        return self.context.titles[self._records[task].id]

    def _work(self, work: Callable[[], None]) -> None:
        work()
        self.context.refresh()
        self._settle()
        if self.finish is not None and self._halt.reason in (Halt.NONE, Halt.PAUSED):
            self.finish()

    def _settle(self) -> None:
        """Do what the failure policy asks for, once nothing runs any more."""
        if self._halt.reason is Halt.FAILED:
            self._settled = self.after_failure.roll_back()
        elif self.given_up and self._halt.reason in (Halt.NONE, Halt.PAUSED):
            self._settled = self.after_failure.clear_up()
            if self.after_failure.left:  # what could not be deleted must not be forgotten by a job that succeeds
                self._fail(*self.given_up)
        if self._settled:
            self.teller.say(self._settled, logging.WARNING)

    def _take(self, walker: Walker, task: Task, future: Future[None]) -> None:
        """Take what a task that was started has come to."""
        self._running.discard(task)
        record = self._records[task]
        try:
            future.result(timeout=0)
        except NotStarted:
            self._again.appendleft(task)
            self.context.look()
        except Unserved as error:
            self._unserved[record.id] += 1
            if self._unserved[record.id] <= MOST_UNSERVED and self._now(record).state is TaskState.WAITING:
                self._again.appendleft(task)
                self._halt.wait(1)
            else:
                self._lost(walker, task, error)
        except TaskFailed as error:
            failure = error.failure or self._failure(record, error.message)
            if not self.failures and self.after_failure.tolerates(record):
                self._give_up(walker, task, failure)
            else:
                self._fail(failure)
                self.teller.failed(record, self.title(task))
        except Interrupted:
            self.context.look()  # another process may have noticed before this one that the job is to stop
            self.teller.failed(record, self.title(task))
        except BaseException as error:  # noqa: BLE001 - the edge to what runs tasks: its own failure must be recorded
            self._lost(walker, task, error)
        else:
            self._succeed(walker, task)

    def _succeed(self, walker: Walker, task: Task) -> None:
        self.teller.ended(self._records[task])
        walker.complete(task)

    def _lost(self, walker: Walker, task: Task, error: BaseException) -> None:
        """Take note of a task whose end was not told as a task's: only the store knows what came of it."""
        now = self._now(self._records[task])
        if now.state is TaskState.SUCCEEDED:
            self._succeed(walker, task)
            return
        if self._halt.reason in (Halt.NONE, Halt.PAUSED):
            said = str(error) if isinstance(error, CooprError) else f"{type(error).__name__}: {error}"
            self._fail(self._failure(now, self.context.redactor.redact(said)))
        self.teller.failed(now, self.title(task))

    def _give_up(self, walker: Walker, task: Task, failure: Failure) -> None:
        """Go on without the node of a task that has failed."""
        self.given_up.append(failure)
        said = f"{failure.title} did not succeed (task {failure.task.id}); going on without the node"
        self.teller.say(said, logging.WARNING)
        walker.abandon(task.node)

    def _fail(self, *failures: Failure) -> None:
        self.failures.extend(failures)
        self._halt.to(Halt.FAILED)

    def _stop(self, signals: int) -> None:
        """End what runs on the nodes and start nothing new; at a further signal do not even wait for it."""
        self.context.stop()
        if signals > 1:
            self._halt.hurry()

    def _leave(self) -> bool:
        """Let go of the paused job, of which nothing runs any more; False when it has been resumed or aborted."""
        if self._store.leave_job(self.context.job.id):
            return self._halt.to(Halt.LEFT)
        self.context.look()
        return False

    def _failure(self, record: TaskRecord, reason: str) -> Failure:
        """Put together what is known of a failure that no attempt has told of."""
        log = self.context.logs / f"{record.id}.log"
        return Failure(record, self.context.titles[record.id], reason, "", 1, (), log)

    def _now(self, record: TaskRecord) -> TaskRecord:
        return self._store.task(record.id)

    def _conclude(self, signal: BaseException | None) -> None:
        """Record how the job ended, and raise what tells it unless it succeeded."""
        cluster, job, halted = self.context.cluster, self.context.job, self._halt.now
        if halted.reason is Halt.LEFT:
            raise conclusion.paused(cluster, job)
        if halted.reason is Halt.LOST:
            raise conclusion.taken_over(cluster, job)
        if halted.ends_what_runs:
            aborted = halted.reason is Halt.ABORTED
            self._finish(JobState.INTERRUPTED, "aborted" if aborted else "stopped by the user")
            raise conclusion.interrupted(cluster, job, aborted=aborted) from signal
        if self.failures:
            rolled_back = self.after_failure.rolled_back
            summary = "\n".join([*([self._settled] if self._settled else []), *map(str, self.failures)])
            self._finish(JobState.ROLLED_BACK if rolled_back else JobState.FAILED, summary)
            state = self._store.cluster_with_id(cluster.id).state
            error = conclusion.failed(cluster, job, state, self.failures, summary, rolled_back=rolled_back)
            self.teller.say(str(error), logging.ERROR)
            raise error
        if halted.reason is Halt.CUT_OFF and halted.cause is not None and not self._all_done():
            self._finish(JobState.INTERRUPTED, halted.cause.message)
            raise halted.cause
        reasons = [f"{failure.title}: {failure.reason}" for failure in self.given_up]
        self._finish(JobState.SUCCEEDED, "\n".join([self._settled, *reasons]) if reasons else "")

    def _all_done(self) -> bool:
        counts = self._store.task_counts(self.context.job.id)
        return counts[TaskState.SUCCEEDED] == sum(counts.values()) and self.finish is None

    def _cut_off_by(self, error: BaseException) -> CooprError | None:
        """Return what is told of the server that is gone, if that is what ``error`` means."""
        if isinstance(error, CooprError) or not isinstance(error, Exception):
            return None
        return self._halt.now.cause or self.cut_off_by(error)

    def _finish(self, state: JobState, message: str) -> None:
        """Record the end, unless there is nothing of ours to record any more."""
        if self._halt.to(Halt.OVER):
            self._store.finish_job(self.context.job.id, state, message)
