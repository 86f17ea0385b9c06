"""The engine of every operation: hands a plan's ready tasks to Prefect, as task runs, and completes them as they end.

Only the flow submits, never more tasks than there are workers, and a task only when the plan's walker says that all it
waits for is done; so the pool can neither deadlock nor queue up work that a failure should have stopped. Ends are told
by the tasks' own threads, not asked of the API. Costs about 5 ms of this process and 10 ms of the server's per task;
memory does not grow with the tasks done. After the first failure, or when somebody pauses or stops the job (by a
signal, or in the store, looked at once a second), nothing new starts, what runs ends, and the store says what was left.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from prefect import runtime
from prefect.client.schemas.objects import TaskRun
from prefect.exceptions import TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner

from coopr_core.errors import CooprError
from coopr_core.model.records import ClusterRecord, JobRecord, TaskRecord
from coopr_core.model.states import HOLDING, JobState, TaskState
from coopr_core.planner import Plan, Schedule, Task
from coopr_core.work import conclusion
from coopr_core.work.after_failure import AfterFailure
from coopr_core.work.attempts import Attempts, Failure, NotStarted
from flows.engine import cluster_task
from flows.engine.progress import Progress
from flows.engine.run_log import flow_run_emitter, task_run_emitter
from flows.engine.signals import Stoppable
from flows.outage import ServerGone, told, watched

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.store import Store

MOST_UNSERVED = 10
"""How often a task is submitted that the Prefect server's trouble keeps from being tried."""

GRACE_SECONDS = 60
"""How long a stopped job waits for its running tasks to end."""


@dataclass
class JobRun:
    """One job being run by this process."""

    store: Store
    cluster: ClusterRecord
    job: JobRecord
    plan: Plan
    attempts: Attempts
    access: NodeAccess
    schedule: Schedule
    max_concurrency: int
    tries: int
    heartbeat_seconds: float = 10.0
    at_last: Callable[[], None] | None = None
    """Called when every task has succeeded, before the job counts as done."""
    after_failure: AfterFailure | None = None
    """What is done about nodes that could not be made; they are held when left out."""

    _settled: str = ""
    _records: dict[Task, TaskRecord] = field(default_factory=dict)
    _unstarted: set[str] = field(default_factory=set)
    _unserved: Counter[str] = field(default_factory=Counter)
    _lost: bool = False
    _left: bool = False
    _aborted: bool = False
    _over: bool = False
    _stopped_at: float | None = None
    _outage: ServerGone | None = None

    def attempt(self, task_id: str, run: TaskRun) -> None:
        """Try a task, in its own thread and task run."""
        task, may_retry = self._by_id[task_id], run.run_count < self.tries
        try:
            self.attempts.run(task, run_id=str(run.id), may_retry=may_retry, emit=task_run_emitter())
        except NotStarted:
            self._unstarted.add(task_id)
            raise

    def run(self) -> None:
        """Run every task of the plan that has not succeeded yet, and end the job in the store.

        Raises ``TasksFailed`` with a summary, ``Interrupted`` when the user or a newer job stopped it, ``Paused``.
        """
        records = self.store.tasks(self.job.id)
        self._records = {Task(r.node, r.action, r.service): r for r in records}
        self._by_id = {record.id: record for record in records}
        done = {task for task, record in self._records.items() if record.state is TaskState.SUCCEEDED}
        self._progress = Progress(self.job, self.plan, len(done), flow_run_emitter())
        stoppable = Stoppable(self._stop)
        try:
            with (
                cluster_task.running(self.job.id, self),
                self._pulse(),
                watched(self._cut_off),
                ThreadPoolTaskRunner[Any](max_workers=self.max_concurrency) as runner,
            ):
                stoppable.run(lambda: self._work(runner, done, stoppable))
        except CooprError as error:
            self._finish(JobState.FAILED, str(error))
            raise
        except httpx.HTTPError as error:
            outage = self._outage or told(error)
            self._finish(JobState.INTERRUPTED, outage.message)
            raise outage from error
        except BaseException as error:
            if self._outage is not None and isinstance(error, Exception):
                self._finish(JobState.INTERRUPTED, self._outage.message)
                raise self._outage from error
            self._finish(JobState.FAILED, f"the engine failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._progress.close()
        self._conclude(stoppable)

    def _work(self, runner: ThreadPoolTaskRunner[Any], done: set[Task], stoppable: Stoppable) -> None:
        self._walk(runner, done, stoppable)
        self._settle()
        cut_off = self.attempts.failed_or_stopped or self._outage is not None
        if self.at_last is not None and not self._left and not cut_off:
            self.at_last()

    def _settle(self) -> None:
        """Do what the failure policy asks for, once nothing runs any more."""
        if self.after_failure is None or self._left or self.attempts.stop.is_set() or self._outage is not None:
            return
        if self.attempts.failures:
            self._settled = self.after_failure.roll_back()
        elif self.attempts.given_up:
            self._settled = self.after_failure.clear_up()
            if self.after_failure.left:  # what could not be deleted must not be forgotten by a job that succeeds
                self.attempts.failures.extend(self.attempts.given_up)
        if self._settled:
            self._progress.say(self._settled, logging.WARNING)

    def _walk(self, runner: ThreadPoolTaskRunner[Any], done: set[Task], stoppable: Stoppable) -> None:
        """Submit what is ready and complete what has ended, until nothing runs and nothing may start."""
        walker = self.plan.walk(schedule=self.schedule, done=done)
        ended: queue.SimpleQueue[tuple[Task, Future[Any]]] = queue.SimpleQueue()
        ready: deque[Task] = deque()
        running: set[Task] = set()
        while True:
            if not self.attempts.halted:
                ready.extend(walker.ready())
            while ready and len(running) < self.max_concurrency and not self.attempts.halted:
                task = ready.popleft()
                running.add(task)
                self._submit(runner, task, ended)
            if not running:
                paused = self.attempts.paused.is_set() and not self.attempts.failed_or_stopped
                if paused and not walker.finished and not self._leave():
                    continue
                return
            with contextlib.suppress(queue.Empty):
                task, future = ended.get(timeout=0.5)
                running.discard(task)
                if self._records[task].id in self._unstarted:
                    self._unstarted.discard(self._records[task].id)
                    ready.appendleft(task)
                    self._look()
                elif self._is_unserved(task, future):
                    ready.appendleft(task)
                    self.attempts.stop.wait(1)
                elif self._is_given_up(task):
                    walker.abandon(task.node)
                elif self._succeeded(task, future):
                    walker.complete(task)
            if stoppable.impatient(GRACE_SECONDS) or self._is_overdue():
                self._abandon(running)
                return
            if self._outage is not None and not self.attempts.under_way:
                return  # what is left waits for a server that is gone, not for a node

    def _cut_off(self, outage: ServerGone) -> None:
        """Start nothing new, for the server is gone; what runs on the nodes comes to its end."""
        self._outage = outage
        self.attempts.outage.set()

    def _stop(self) -> None:
        """End what runs on the nodes and start nothing new; only sets flags."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self.attempts.stop.set()
        self.access.stop()

    def _is_overdue(self) -> bool:
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > GRACE_SECONDS

    def _look(self) -> None:
        """Notice what was asked for in the store: to pause, to go on after all, to stop."""
        state = self.store.job_state(self.job.id)
        if self._over:
            return
        if state is JobState.PAUSED:
            self.attempts.paused.set()
        else:
            self.attempts.paused.clear()
        self._aborted = self._aborted or state is JobState.ABORTING
        self._lost = self._lost or state not in HOLDING
        if (self._aborted or self._lost) and self._stopped_at is None:
            self._stop()

    def _leave(self) -> bool:
        """Let go of the paused job, of which nothing runs any more; False when it has been resumed or aborted."""
        self._left = self.store.leave_job(self.job.id)
        if not self._left:
            self._look()
        return self._left

    def _submit(
        self, runner: ThreadPoolTaskRunner[Any], task: Task, ended: queue.SimpleQueue[tuple[Task, Future[Any]]]
    ) -> None:
        record = self._records[task]
        self._progress.started(record)
        tags = (f"cluster:{self.cluster.name}", f"job:{self.job.id}", f"stage:{record.stage}", f"action:{task.action}")
        future = cluster_task.submit(runner, record.id, self.attempts.titles[record.id], tags, self.tries)
        future.add_done_callback(lambda result: ended.put((task, result)))

    def _succeeded(self, task: Task, future: Future[Any]) -> bool:
        """Take note of a task run's end; one that Prefect could not run at all is a failure too."""
        record = self._records[task]
        try:
            state = future.result(timeout=0)
        except Exception as error:  # noqa: BLE001 - the edge to Prefect's engine, whose own failure must be recorded
            state, reason = None, f"{type(error).__name__}: {error}"
        else:
            reason = str(getattr(state, "message", "") or state)
        done = state is not None and state.is_completed()
        if done or self.store.task(record.id).state is TaskState.SUCCEEDED:  # Prefect may have lost its end
            self._progress.ended(record)
            return True
        if not self.attempts.halted:
            title = self.attempts.titles[record.id]
            log = self.attempts.logs / f"{record.id}.log"
            reason = self.attempts.redactor.redact(reason)
            self.attempts.failures.append(Failure(record, title, reason, "", 1, (), log))
        self._progress.failed(record, self.attempts.titles[record.id])
        return False

    def _is_unserved(self, task: Task, future: Future[Any]) -> bool:
        """Whether the server's trouble kept the task from being tried at all, so that it may be submitted again."""
        if not cluster_task.is_server_trouble(future):
            return False
        record = self._records[task]
        self._unserved[record.id] += 1
        return self._unserved[record.id] <= MOST_UNSERVED and self.store.task(record.id).state is TaskState.WAITING

    def _is_given_up(self, task: Task) -> bool:
        """Whether the job goes on without the node of the task that has failed."""
        record = self._records[task]
        if not any(failure.task.id == record.id for failure in self.attempts.given_up):
            return False
        title = self.attempts.titles[record.id]
        self._progress.say(f"{title} did not succeed (task {record.id}); going on without the node", logging.WARNING)
        return True

    def _abandon(self, running: set[Task]) -> None:
        """Give up waiting for tasks that do not end; the state is saved before the pool waits for their threads."""
        names = ", ".join(self.attempts.titles[self._records[task].id] for task in sorted(running))
        self._progress.say(f"left behind, they did not end in time: {names}", logging.WARNING)
        self._finish(JobState.INTERRUPTED, "stopped by the user")

    @contextlib.contextmanager
    def _pulse(self) -> Iterator[None]:
        """While the job runs: show that its claim lives, look what is asked of it, send what chatty tasks gathered."""
        over = threading.Event()

        def beat() -> None:
            last = time.monotonic()
            while not over.wait(1):
                self.attempts.flush()
                with contextlib.suppress(CooprError):  # an unreachable database is met by the tasks themselves
                    self._look()
                    if time.monotonic() - last >= self.heartbeat_seconds:
                        last = time.monotonic()
                        if not self.store.heartbeat(self.job.id) and not self._over and not self._left:
                            self._lost = True
                            self._stop()

        thread = threading.Thread(target=beat, name=f"pulse of {self.job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _conclude(self, stoppable: Stoppable) -> None:
        """Record how the job ended, and raise what tells it unless it succeeded."""
        if self._left:
            raise conclusion.paused(self.cluster, self.job)
        if self._lost:
            raise conclusion.taken_over(self.cluster, self.job)
        if self.attempts.stop.is_set():
            self._finish(JobState.INTERRUPTED, "aborted" if self._aborted else "stopped by the user")
            if isinstance(stoppable.received, TerminationSignal) and runtime.deployment.id:
                raise stoppable.received  # Prefect knows whether it was a cancellation
            raise conclusion.interrupted(self.cluster, self.job, aborted=self._aborted)
        failures = self.attempts.failures
        if failures:
            rolled_back = self.after_failure is not None and self.after_failure.rolled_back
            summary = "\n".join([*([self._settled] if self._settled else []), *(str(failure) for failure in failures)])
            self._finish(JobState.ROLLED_BACK if rolled_back else JobState.FAILED, summary)
            state = self.store.cluster_with_id(self.cluster.id).state
            error = conclusion.failed(self.cluster, self.job, state, failures, summary, rolled_back=rolled_back)
            self._progress.say(str(error), logging.ERROR)
            raise error
        if self._outage is not None and not self._all_done():
            self._finish(JobState.INTERRUPTED, self._outage.message)
            raise self._outage
        reasons = [f"{failure.title}: {failure.reason}" for failure in self.attempts.given_up]
        self._finish(JobState.SUCCEEDED, "\n".join([self._settled, *reasons]) if reasons else "")

    def _all_done(self) -> bool:
        counts = self.store.task_counts(self.job.id)
        return counts[TaskState.SUCCEEDED] == sum(counts.values()) and self.at_last is None

    def _finish(self, state: JobState, message: str) -> None:
        self._over = True
        self.store.finish_job(self.job.id, state, message)
