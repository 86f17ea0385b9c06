"""A job runs on threads alone, without Prefect: order, retries, failure policies, pausing, stopping, outages."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from thread_job import ThreadJob
from watching import wait_for

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import Result
from coopr_core.errors import CooprError, Denied, Interrupted, TasksFailed
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.records import AttemptRecord
from coopr_core.model.states import AttemptState, ClusterState, JobState, TaskState
from coopr_core.planner import Schedule, Task
from coopr_core.store import Store, claims
from coopr_core.store.schema import jobs
from coopr_core.work.halt import Halt
from coopr_core.work.job import run as job_run
from coopr_core.work.job.conclusion import Paused
from coopr_core.work.job.context import JobContext
from coopr_core.work.job.run import MOST_UNSERVED, JobRun, Unserved


def with_policy(store: Store, folder: Path, policy: FailurePolicy) -> ThreadJob:
    return ThreadJob(store, folder, policy=policy)


def states(job: ThreadJob, action: str, service: str = "") -> list[TaskState]:
    """The states of these tasks, by node."""
    return [t.state for t in job.store.tasks(job.job.id) if (t.action, t.service) == (action, service)]


def fail(context: TaskContext) -> Result:
    return Result(exit_status=4)


def test_nothing_of_it_knows_prefect() -> None:
    code = "import sys, coopr_core.work.job.run; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
def test_every_task_runs_once_after_all_it_waits_for_and_never_too_many_at_once(
    job: ThreadJob, schedule: Schedule
) -> None:
    job.does("INSTALL", "db", lambda context: time.sleep(0.05))
    job.run(schedule=schedule, at_once=2)
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED
    assert job.store.cluster("c").state is ClusterState.ACTIVE
    assert sorted(task for task, _, _ in job.ran) == sorted(job.plan.tasks)
    begun = {task: begin for task, begin, _ in job.ran}
    ended = {task: end for task, _, end in job.ran}
    for task in job.plan.tasks:
        assert all(ended[before] <= begun[task] for before in job.plan.dependencies(task)), task
    changes = sorted([(begin, 1) for begin in begun.values()] + [(end, -1) for end in ended.values()])
    assert max(sum(change for _, change in changes[: n + 1]) for n in range(len(changes))) <= 2


def test_a_failure_ends_the_job_when_what_runs_has_ended_and_a_later_run_does_only_the_rest(job: ThreadJob) -> None:
    slow_may_end = threading.Event()
    all_run = threading.Barrier(3)

    tried: list[int] = []

    def beside(context: TaskContext) -> Result:
        tried.append(context.number)
        if tried.count(context.number) == 1:
            all_run.wait(60)
        if context.number == 1002:
            slow_may_end.wait(60)
        return fail(context) if context.number == 1001 else Result()

    for number in (1000, 1001, 1002):
        job.does("INSTALL", "db", beside, node=number)

    def told(run: JobRun) -> None:
        failed = run.teller.failed

        def hear(task: object, title: str) -> None:
            failed(task, title)  # type: ignore[arg-type]  # it only passes it on
            slow_may_end.set()

        run.teller.failed = hear  # type: ignore[method-assign]  # a test listens in

    with pytest.raises(TasksFailed, match=r"INSTALL db @ c\d*-1001 failed .*3 attempts\): exit status 4") as caught:
        job.run(before=told)
    assert "coopr retry c" in caught.value.hint
    assert states(job, "INSTALL", "db") == [TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SUCCEEDED]
    assert states(job, "START", "db") == [TaskState.WAITING] * 3
    assert job.store.job_state(job.job.id) is JobState.FAILED
    before = {task.id: task.attempts for task in job.store.tasks(job.job.id) if task.state is TaskState.SUCCEEDED}
    job.scripted.does.clear()
    job.store.resume_job(job.job.id)
    job.run()
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED
    assert {id: job.store.task(id).attempts for id in before} == before


def test_whether_a_task_is_tried_again_is_the_errors_word(job: ThreadJob) -> None:
    errors: list[CooprError] = [CooprError("busy"), CooprError("busy")]

    def busy(context: TaskContext) -> None:
        if errors:
            raise errors.pop()

    job.does("INSTALL", "db", busy)

    def denied(context: TaskContext) -> None:
        raise Denied("no right to", hint="get the right")

    job.does("START", "db", denied)
    with pytest.raises(TasksFailed, match="no right to") as caught:
        job.run()
    assert "get the right" in caught.value.hint
    attempts = {(t.action, t.service): t.attempts for t in job.store.tasks(job.job.id) if t.node == 1001}
    assert (attempts["INSTALL", "db"], attempts["START", "db"]) == (3, 1)


def test_a_bug_of_a_plug_in_is_a_failed_task_like_any_other(job: ThreadJob) -> None:
    def bug(context: TaskContext) -> None:
        raise KeyError("port")

    job.does("START", "web", bug)
    with pytest.raises(TasksFailed, match="KeyError: 'port'"):
        job.run(tries=1)


def test_a_rolled_back_job_leaves_no_machine(store: Store, tmp_path: Path) -> None:
    job = with_policy(store, tmp_path, FailurePolicy("rollback"))
    job.does("START", "db", fail)
    with pytest.raises(TasksFailed, match="rolled back: deleted"):
        job.run(tries=1)
    assert job.cloud.machines == {}
    assert job.store.job_state(job.job.id) is JobState.ROLLED_BACK


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
def test_a_job_goes_on_without_a_node_as_long_as_enough_are_left(
    store: Store, tmp_path: Path, schedule: Schedule
) -> None:
    job = with_policy(store, tmp_path, FailurePolicy("continue", 2))
    seen: list[list[str]] = []
    job.does("INSTALL", "db", fail)
    job.does("START", "web", lambda context: seen.append(sorted(context.nodes.properties)), node=1000)
    job.run(schedule=schedule, tries=1)
    record = job.store.job(job.job.id)
    assert record.state is JobState.SUCCEEDED
    assert "went on without" in record.message
    assert len(job.cloud.machines) == 2
    assert seen == [["1000", "1002"]]
    assert any("going on without the node" in line for line in job.told.lines)


def test_too_few_nodes_left_is_a_failure(store: Store, tmp_path: Path) -> None:
    job = with_policy(store, tmp_path, FailurePolicy("continue", 2))
    job.does("INSTALL", "db", fail)
    job.does("START", "db", fail, node=1002)
    with pytest.raises(TasksFailed, match="START db"):
        job.run(tries=1)
    assert len(job.cloud.machines) == 3, "what was made is held for a retry"


def test_a_paused_job_ends_what_runs_is_let_go_of_and_goes_on_elsewhere(job: ThreadJob) -> None:
    def pause(context: TaskContext) -> None:
        job.store.pause_job(job.job.id)

    job.does("INSTALL", "db", pause)
    with pytest.raises(Paused, match="is paused; its state is saved"):
        job.run(at_once=1)
    assert states(job, "INSTALL", "db")[1] is TaskState.SUCCEEDED
    assert states(job, "START", "web") == [TaskState.WAITING] * 3
    paused = job.store.job(job.job.id)
    assert (paused.state, paused.claimed_by) == (JobState.PAUSED, "")
    job.store.resume_job(job.job.id)
    job.run()
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED
    assert all(task.attempts == 1 for task in job.store.tasks(job.job.id))


def test_a_job_resumed_while_its_last_task_still_runs_goes_on_where_it_is(job: ThreadJob) -> None:
    def blink(context: TaskContext) -> None:
        job.store.pause_job(job.job.id)
        seen.wait(30)
        assert job.store.unpause_job(job.job.id)

    seen = threading.Event()

    def listening(run: JobRun) -> None:
        look = run.context.look

        def heard() -> None:
            look()
            if run.context.halt.reason is Halt.PAUSED:
                seen.set()

        run.context.look = heard  # type: ignore[method-assign]  # a test listens in

    job.does("INSTALL", "db", blink)
    job.run(before=listening)
    assert seen.is_set()
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED
    assert all(task.attempts == 1 for task in job.store.tasks(job.job.id))


def test_an_aborted_job_ends_what_runs_and_says_so(job: ThreadJob) -> None:
    job.does("INSTALL", "db", job.endless)
    threading.Thread(target=lambda: job.endless_runs.wait(30) and job.store.abort_job(job.job.id)).start()
    with pytest.raises(Interrupted, match="was aborted; its state is saved"):
        job.run()
    assert states(job, "INSTALL", "db")[1] is TaskState.INTERRUPTED
    record = job.store.job(job.job.id)
    assert (record.state, record.message) == (JobState.INTERRUPTED, "aborted")
    task = next(t for t in job.store.tasks(job.job.id) if t.state is TaskState.INTERRUPTED)
    assert [attempt.state for attempt in job.store.attempts(task.id)] == [AttemptState.INTERRUPTED]


def test_a_stopped_job_waits_for_what_runs_until_it_is_stopped_again(job: ThreadJob) -> None:
    stuck = threading.Event()

    def deaf(context: TaskContext) -> None:
        job.endless_runs.set()
        stuck.wait(60)

    job.does("INSTALL", "db", deaf)

    def signals(run: JobRun) -> None:
        def send() -> None:
            job.endless_runs.wait(30)
            run._stop(1)
            run._stop(2)
            while run.context.halt.reason is not Halt.OVER:
                time.sleep(0.01)
            stuck.set()

        threading.Thread(target=send).start()

    with pytest.raises(Interrupted, match="was interrupted; its state is saved"):
        job.run(before=signals)
    assert any(line.startswith("left behind, they did not end in time: INSTALL db @") for line in job.told.lines)
    assert job.store.job(job.job.id).message == "stopped by the user"


def test_a_job_that_another_process_took_over_ends_what_runs_and_records_nothing(
    job: ThreadJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.1)
    job.does("INSTALL", "db", job.endless)

    def take() -> None:
        job.endless_runs.wait(30)
        with job.store._database.write() as connection:
            connection.execute(update(jobs).values(claimed_by="another:1:1"))

    threading.Thread(target=take).start()
    with pytest.raises(Interrupted, match="was taken over by another process"):
        job.run()
    assert job.store.job_state(job.job.id) is JobState.RUNNING


def test_a_server_gone_for_good_lets_what_runs_end_and_the_job_be_resumed(job: ThreadJob) -> None:
    gone = CooprError("the server is gone", hint="start it")
    runs: list[JobRun] = []
    job.does("INSTALL", "db", lambda context: runs[0].context.halt.to(Halt.CUT_OFF, gone) and None)
    with pytest.raises(CooprError) as caught:
        job.run(before=runs.append)
    assert caught.value is gone
    record = job.store.job(job.job.id)
    assert (record.state, record.message) == (JobState.INTERRUPTED, "the server is gone")
    assert states(job, "INSTALL", "db")[1] is TaskState.SUCCEEDED
    assert states(job, "START", "db") == [TaskState.WAITING] * 3
    job.store.resume_job(job.job.id)
    job.run()
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED


def test_a_job_whose_server_goes_when_all_is_done_has_succeeded(job: ThreadJob) -> None:
    runs: list[JobRun] = []
    started: list[int] = []

    def start(context: TaskContext) -> None:
        started.append(context.number)
        if context.number == 1002:
            wait_for(lambda: states(job, "START", "web").count(TaskState.SUCCEEDED) == 2, "the others have ended")
            runs[0].context.halt.to(Halt.CUT_OFF, CooprError("the server is gone"))

    for number in (1000, 1001, 1002):
        job.does("START", "web", start, node=number)
    job.run(before=runs.append)
    assert sorted(started) == [1000, 1001, 1002]
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED


def test_a_command_that_has_begun_or_ended_unrecorded_counts_when_the_server_goes(
    job: ThreadJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[JobRun] = []
    start_attempt, finish_attempt = job.store.start_attempt, job.store.finish_attempt

    def installs(task_id: str) -> bool:
        task = job.store.task(task_id)
        return (task.action, task.node) == ("INSTALL", 1001)

    def start(task_id: str, **values: Any) -> Any:
        attempt = start_attempt(task_id, **values)
        if installs(task_id):
            runs[0].context.halt.to(Halt.CUT_OFF, CooprError("the server is gone"))
            time.sleep(1.2)  # the job looks twice meanwhile whether anything runs
        return attempt

    def finish(attempt: AttemptRecord, *values: Any, **more: Any) -> Any:
        if installs(attempt.task_id):
            time.sleep(1.2)
        return finish_attempt(attempt, *values, **more)

    monkeypatch.setattr(job.store, "start_attempt", start)
    monkeypatch.setattr(job.store, "finish_attempt", finish)
    with pytest.raises(CooprError, match="the server is gone"):
        job.run(before=runs.append)
    assert states(job, "INSTALL", "db")[1] is TaskState.SUCCEEDED
    assert job.store.job_state(job.job.id) is JobState.INTERRUPTED


def test_an_error_that_means_the_server_is_gone_interrupts_the_job(job: ThreadJob) -> None:
    gone = CooprError("the server is gone")

    def finish() -> None:
        raise ConnectionError("refused")

    with pytest.raises(CooprError) as caught:
        job.run(finish=finish, cut_off_by=lambda error: gone if isinstance(error, ConnectionError) else None)
    assert caught.value is gone
    assert job.store.job_state(job.job.id) is JobState.INTERRUPTED


def test_what_an_operation_does_at_last_is_done_when_all_tasks_are_and_again_after_it_failed(job: ThreadJob) -> None:
    done: list[int] = []

    def finish() -> None:
        assert states(job, "START", "web") == [TaskState.SUCCEEDED] * 3
        done.append(1)
        if len(done) == 1:
            raise CooprError("the disk is full")

    with pytest.raises(CooprError, match="the disk is full"):
        job.run(finish=finish)
    assert job.store.job_state(job.job.id) is JobState.FAILED
    job.store.resume_job(job.job.id)
    job.run(finish=finish)
    assert (len(done), job.store.job_state(job.job.id)) == (2, JobState.SUCCEEDED)


def test_a_task_that_could_not_be_tried_is_handed_out_again(job: ThreadJob) -> None:
    refused: list[str] = []

    def attempt(context: JobContext, task_id: str, tries: int) -> None:
        if not refused:
            refused.append(task_id)
            raise Unserved("the server is busy")
        job._attempt(context, task_id, tries)

    job.run(attempt=attempt)
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED
    assert job.store.task(refused[0]).attempts == 1


def test_a_task_that_can_never_be_tried_is_a_failure_at_last(job: ThreadJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "MOST_UNSERVED", 2)
    assert MOST_UNSERVED > 2

    def attempt(context: JobContext, task_id: str, tries: int) -> None:
        raise Unserved("the server is busy")

    with pytest.raises(TasksFailed, match=r"CREATE @ .* failed .*the server is busy"):
        job.run(attempt=attempt, at_once=1)


def test_the_store_knows_what_came_of_a_task_whose_end_was_not_told(job: ThreadJob) -> None:
    def attempt(context: JobContext, task_id: str, tries: int) -> None:
        job._attempt(context, task_id, tries)
        raise RuntimeError("the runner lost it")

    job.run(attempt=attempt)
    assert job.store.job_state(job.job.id) is JobState.SUCCEEDED


def test_a_task_that_its_runner_lost_is_a_failure(job: ThreadJob) -> None:
    def attempt(context: JobContext, task_id: str, tries: int) -> None:
        raise RuntimeError("the runner lost it")

    with pytest.raises(TasksFailed, match="RuntimeError: the runner lost it"):
        job.run(attempt=attempt)
    assert job.store.job_state(job.job.id) is JobState.FAILED


def test_a_failure_names_the_last_lines_and_the_log(job: ThreadJob) -> None:
    job.does("START", "web", fail)
    with pytest.raises(TasksFailed) as caught:
        job.run(tries=1)
    task = next(t for t in job.store.tasks(job.job.id) if t.state is TaskState.FAILED)
    assert f"its whole log: {task.log}" in str(caught.value)
    assert Task(task.node, task.action, task.service) == Task(1001, "START", "web")
    assert "failed: exit status 4" in Path(task.log).read_text()
