from __future__ import annotations

import pytest
from store_samples import PlannedStages, PlannedTask, new_cluster, stages

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.states import AttemptState, TaskState
from coopr_core.store import Store


@pytest.fixture
def job(store: Store) -> str:
    return store.start_job(new_cluster(store).id, "CLUSTER_CREATE", stages()).id


def test_an_attempt_runs_and_ends_together_with_its_task(store: Store, job: str) -> None:
    task = f"{job}-002"
    attempt = store.start_attempt(task, task_run_id="run-1", log="/logs/2.log")
    assert (attempt.task_id, attempt.number, attempt.state) == (task, 1, AttemptState.RUNNING)
    running = store.task(task)
    assert (running.state, running.attempts, running.task_run_id, running.log) == (
        TaskState.RUNNING,
        1,
        "run-1",
        "/logs/2.log",
    )
    assert running.started == attempt.started
    done = store.finish_attempt(attempt, AttemptState.SUCCEEDED, exit_status=0, message="fine")
    assert (done.state, done.exit_status, done.message) == (TaskState.SUCCEEDED, 0, "fine")
    assert done == store.task(task)
    kept = store.attempts(task)[0]
    assert (kept.state, kept.exit_status, kept.message, kept.ended) == (AttemptState.SUCCEEDED, 0, "fine", done.ended)
    assert done.ended is not None
    assert done.ended >= attempt.started


@pytest.mark.parametrize(
    ("attempt_state", "task_state"),
    [
        (AttemptState.SUCCEEDED, TaskState.SUCCEEDED),
        (AttemptState.FAILED, TaskState.FAILED),
        (AttemptState.UNKNOWN, TaskState.FAILED),
        (AttemptState.INTERRUPTED, TaskState.INTERRUPTED),
    ],
)
def test_a_task_becomes_what_its_last_attempt_became(
    store: Store, job: str, attempt_state: AttemptState, task_state: TaskState
) -> None:
    attempt = store.start_attempt(f"{job}-001")
    assert store.finish_attempt(attempt, attempt_state).state is task_state
    assert store.attempts(f"{job}-001")[0].state is attempt_state


def test_a_task_that_will_be_tried_again_is_retrying_and_every_attempt_is_kept(store: Store, job: str) -> None:
    task = f"{job}-001"
    first = store.start_attempt(task)
    assert store.finish_attempt(first, AttemptState.FAILED, exit_status=7, retry=True).state is TaskState.RETRYING
    second = store.start_attempt(task, task_run_id="run-2")
    again = store.task(task)
    assert (again.state, again.exit_status, again.ended, again.attempts) == (TaskState.RUNNING, None, None, 2)
    store.finish_attempt(second, AttemptState.SUCCEEDED, retry=True)
    assert store.task(task).state is TaskState.SUCCEEDED
    assert [(attempt.number, attempt.state, attempt.exit_status) for attempt in store.attempts(task)] == [
        (1, AttemptState.FAILED, 7),
        (2, AttemptState.SUCCEEDED, None),
    ]


def test_an_attempt_ends_once(store: Store, job: str) -> None:
    attempt = store.start_attempt(f"{job}-001")
    done = store.finish_attempt(attempt, AttemptState.SUCCEEDED)
    assert store.finish_attempt(attempt, AttemptState.FAILED, message="late") == done


def test_an_older_attempt_does_not_change_the_task_any_more(store: Store, job: str) -> None:
    first = store.start_attempt(f"{job}-001")
    store.start_attempt(f"{job}-001")
    assert store.finish_attempt(first, AttemptState.FAILED).state is TaskState.RUNNING
    assert [attempt.state for attempt in store.attempts(f"{job}-001")] == [AttemptState.FAILED, AttemptState.RUNNING]


def test_tasks_are_chosen_by_state_stage_node_and_service(store: Store) -> None:
    plan = PlannedStages(
        (
            (PlannedTask(1000, "CREATE"), PlannedTask(1001, "CREATE")),
            (PlannedTask(1000, "START", "web"), PlannedTask(1001, "START", "db")),
        )
    )
    job = store.start_job(new_cluster(store).id, "CLUSTER_CREATE", plan).id
    store.finish_attempt(store.start_attempt(f"{job}-001"), AttemptState.SUCCEEDED)

    def numbers(**options: object) -> list[str]:
        return [task.id[-3:] for task in store.tasks(job, **options)]  # type: ignore[arg-type]  # options by name

    assert numbers() == ["001", "002", "003", "004"]
    assert numbers(state=TaskState.SUCCEEDED) == ["001"]
    assert numbers(stage=2) == ["003", "004"]
    assert numbers(node=1001) == ["002", "004"]
    assert numbers(service="web") == ["003"]
    assert numbers(service="") == ["001", "002"]
    assert numbers(node=1000, service="web", state=TaskState.WAITING) == ["003"]


def test_who_follows_a_job_gets_every_end_with_its_task_and_their_number(store: Store, job: str) -> None:
    failed = store.start_attempt(f"{job}-002")
    store.finish_attempt(failed, AttemptState.FAILED, retry=True)
    store.start_attempt(f"{job}-002")
    done = store.finish_attempt(store.start_attempt(f"{job}-001"), AttemptState.SUCCEEDED)
    assert [(task, attempt.number, attempt.state) for task, attempt in store.ends(job)] == [
        (store.task(f"{job}-002"), 1, AttemptState.FAILED),
        (done, 1, AttemptState.SUCCEEDED),
    ]
    assert store.count_ends(job) == 2
    assert [task.id for task, _ in store.ends(job, since=done.ended)] == [done.id]


def test_output_that_is_not_text_is_kept_as_far_as_it_is(store: Store, job: str) -> None:
    attempt = store.start_attempt(f"{job}-001")
    done = store.finish_attempt(attempt, AttemptState.FAILED, message="a\0b \udcff 集")
    assert done.message == store.task(f"{job}-001").message == "a\ufffdb ? 集"


def test_unknown_tasks_and_jobs_are_not_found_and_other_text_is_invalid(store: Store, job: str) -> None:
    for call in (store.task, store.attempts, store.start_attempt):
        with pytest.raises(NotFound, match=f"no task {job}-099"):
            call(f"{job}-099")
    with pytest.raises(NotFound, match="no job 00000001-009"):
        store.tasks("00000001-009")
    with pytest.raises(InvalidInput, match="demo"):
        store.task("demo")
