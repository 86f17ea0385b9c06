"""A process that has not claimed a job runs tasks of it by their ids, and sees in the store what others do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from thread_job import ThreadJob
from watching import wait_for

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import Result
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.states import AttemptState, JobState, TaskState
from coopr_core.store import Store
from coopr_core.work.attempts import NotStarted, TaskFailed
from coopr_core.work.halt import Halt
from coopr_core.work.job import context as contexts
from coopr_core.work.job.context import Contexts, JobContext


@contextlib.contextmanager
def elsewhere(job: ThreadJob) -> Iterator[JobContext]:
    with job.context(owner=False, alone=False) as context:
        yield context


def attempt(context: JobContext, job: ThreadJob, action: str, node: int, service: str = "") -> None:
    tasks = [t for t in context.tasks.values() if (t.action, t.node, t.service) == (action, node, service)]
    context.attempt(tasks[0].id, run_id="run", may_retry=False, emit=lambda level, text: None)


def test_what_one_process_made_another_sees(job: ThreadJob) -> None:
    seen: list[TaskContext] = []
    job.does("INSTALL", "db", lambda context: seen.append(context), node=1000)
    with elsewhere(job) as one, elsewhere(job) as other:
        for node in (1000, 1001, 1002):
            attempt(one, job, "CREATE", node)
            attempt(other, job, "CONFIRM", node)
        attempt(one, job, "INSTALL", 1000, "db")
    assert len(job.cloud.machines) == 3
    (context,) = seen
    known = {number: node["ipaddresses"]["access_v4"] for number, node in context.nodes.properties.items()}
    assert known == {"1000": "127.0.4.0", "1001": "127.0.4.1", "1002": "127.0.4.2"}


@pytest.mark.parametrize("state", ["paused", "aborted", "over"])
def test_what_people_ask_of_the_job_keeps_tasks_from_starting_in_every_process(job: ThreadJob, state: str) -> None:
    with elsewhere(job) as context:
        attempt(context, job, "CREATE", 1000)
        if state == "paused":
            job.store.pause_job(job.job.id)
        elif state == "aborted":
            job.store.abort_job(job.job.id)
        else:
            job.store.finish_job(job.job.id, JobState.FAILED)
        with pytest.raises(NotStarted):
            attempt(context, job, "CREATE", 1001)
        halts = {"paused": Halt.PAUSED, "aborted": Halt.ABORTED, "over": Halt.LOST}
        assert context.halt.reason is halts[state]
        assert job.access.stopped() is (state != "paused")
        if state == "paused":
            assert job.store.unpause_job(job.job.id)
            context.look()
            attempt(context, job, "CREATE", 1001)
    assert next(t.state for t in job.store.tasks(job.job.id, node=1001)) is (
        TaskState.SUCCEEDED if state == "paused" else TaskState.WAITING
    )


def test_a_failure_in_one_process_keeps_tasks_from_starting_in_another(job: ThreadJob) -> None:
    job.does("INSTALL", "db", lambda context: Result(exit_status=4), node=1000)
    with elsewhere(job) as one, elsewhere(job) as other:
        attempt(one, job, "CREATE", 1000)
        attempt(one, job, "CONFIRM", 1000)
        with pytest.raises(TaskFailed, match="exit status 4") as caught:
            attempt(one, job, "INSTALL", 1000, "db")
        assert caught.value.failure is not None
        assert caught.value.failure.attempts == 1
        with pytest.raises(NotStarted):
            attempt(other, job, "CREATE", 1001)
        assert other.halt.reason is Halt.FAILED


def test_a_node_that_was_given_up_in_one_process_is_hidden_in_another(store: Store, tmp_path: Path) -> None:
    job = ThreadJob(store, tmp_path, policy=FailurePolicy("continue", 1))
    seen: list[list[str]] = []
    job.does("INSTALL", "db", lambda context: Result(exit_status=4), node=1001)
    job.does("INSTALL", "db", lambda context: seen.append(sorted(context.nodes.properties)), node=1000)
    with elsewhere(job) as one, elsewhere(job) as other:
        for node in (1000, 1001, 1002):
            attempt(one, job, "CREATE", node)
            attempt(one, job, "CONFIRM", node)
        with pytest.raises(TaskFailed):
            attempt(one, job, "INSTALL", 1001, "db")
        attempt(other, job, "INSTALL", 1000, "db")
    assert seen == [["1000", "1002"]]


def test_a_context_is_opened_for_the_first_task_shared_by_all_and_closed_when_none_comes_any_more(
    job: ThreadJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    closed: list[str] = []

    @contextlib.contextmanager
    def open_it(job_id: str) -> Iterator[JobContext]:
        opened.append(job_id)
        with elsewhere(job) as context:
            yield context
        closed.append(job_id)

    here = Contexts(open_it)
    assert opened == []
    with here.using(job.job.id) as first, here.using(job.job.id) as second:
        assert first is second
        monkeypatch.setattr(contexts, "IDLE_SECONDS", 0)
        time.sleep(1.5)
        assert closed == [], "it is in use"
    wait_for(lambda: closed, "it is closed", 60)
    with here.using(job.job.id) as third:
        assert third is not first
    wait_for(lambda: len(closed) == 2, "it is closed again", 60)
    assert opened == [job.job.id] * 2


def test_a_job_that_is_tried_again_begins_with_another_context(job: ThreadJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job.does("INSTALL", "db", lambda context: Result(exit_status=4), node=1000)
    here = Contexts(lambda job_id: elsewhere(job))
    with here.using(job.job.id, "first") as context:
        attempt(context, job, "CREATE", 1000)
        attempt(context, job, "CONFIRM", 1000)
        with pytest.raises(TaskFailed):
            attempt(context, job, "INSTALL", 1000, "db")
        with pytest.raises(NotStarted):
            attempt(context, job, "CREATE", 1001)
    job.store.finish_job(job.job.id, JobState.FAILED)
    job.store.resume_job(job.job.id)
    with here.using(job.job.id, "second") as context:
        attempt(context, job, "CREATE", 1001)
        monkeypatch.setattr(contexts, "IDLE_SECONDS", 0)
    wait_for(lambda: not here._entries, "both are closed", 60)


def test_the_process_that_claimed_the_job_runs_its_tasks_in_its_own_context(job: ThreadJob) -> None:
    def never(job_id: str) -> contextlib.AbstractContextManager[JobContext]:
        raise AssertionError("there is one")

    here = Contexts(never)
    with job.context() as own, here.owned(own), here.using(job.job.id) as used:
        assert used is own
    with pytest.raises(AssertionError), here.using(job.job.id):
        pass


def test_a_stopped_process_stops_the_others_through_the_store(job: ThreadJob) -> None:
    with job.context(alone=False) as owner:
        owner.stop()
        assert owner.halt.reason is Halt.STOPPED
        assert job.store.job_state(job.job.id) is JobState.ABORTING
        owner.look()
        assert owner.halt.reason is Halt.STOPPED, "it is its own user that stopped it"
    with elsewhere(job) as other:
        other.look()
        assert other.halt.reason is Halt.ABORTED


def test_what_failed_can_be_sent_to_another_process(job: ThreadJob) -> None:
    import pickle

    job.does("INSTALL", "db", lambda context: Result(exit_status=4), node=1000)
    with elsewhere(job) as context:
        attempt(context, job, "CREATE", 1000)
        attempt(context, job, "CONFIRM", 1000)
        with pytest.raises(TaskFailed) as caught:
            attempt(context, job, "INSTALL", 1000, "db")
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), sent.again, sent.failure) == (str(caught.value), False, caught.value.failure)
    states = [a.state for a in job.store.attempts(caught.value.failure.task.id)]  # type: ignore[union-attr]  # it is one
    assert states == [AttemptState.FAILED]
