from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from growth import growth
from sqlalchemy import create_engine, text
from sqlalchemy.event import listen
from store_samples import engine_url, new_cluster, python, stages

from coopr_core.errors import Busy, InvalidInput, NotFound, Refused
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.records import JobRecord
from coopr_core.model.states import AttemptState, ClusterState, JobState, NodeState, TaskState
from coopr_core.store import Store, claims

ELSEWHERE = "another-host:77:0123456789ab-1"


def _state(store: Store, name: str = "demo") -> ClusterState:
    return store.cluster(name, terminated=True).state


def _active(store: Store, name: str = "demo") -> str:
    cluster = new_cluster(store, name)
    for number in (1000, 1001):
        store.record_machine(cluster.id, number, {"provider_id": "i"}, NodeState.CONFIRMED)
    store.finish_job(store.start_job(cluster.id, "CLUSTER_CREATE", stages()).id, JobState.SUCCEEDED)
    return cluster.id


def _age_heartbeat(url: str, seconds: int) -> None:
    engine = create_engine(engine_url(url))
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    with engine.begin() as connection:
        value = then.replace(tzinfo=None).isoformat(sep=" ") if url.startswith("sqlite") else then
        connection.execute(text("UPDATE jobs SET heartbeat_at = :value"), {"value": value})
    engine.dispose()


def test_a_job_records_all_tasks_and_makes_the_cluster_pending(store: Store) -> None:
    cluster = new_cluster(store)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(), parameters=JobParameters(max_concurrency=3))
    assert (job.id, job.state, job.stages) == ("00000001-001", JobState.RUNNING, 2)
    assert store.job_parameters(job.id) == JobParameters(max_concurrency=3)
    assert store.recorded_plan(job.id) == stages().record()
    assert job.claimed_by == claims.claimant()
    assert store.job(job.id) == job
    assert [(task.id, task.stage, task.node, task.action, task.state) for task in store.tasks(job.id)] == [
        ("00000001-001-001", 1, 1000, "CREATE", TaskState.WAITING),
        ("00000001-001-002", 1, 1001, "CREATE", TaskState.WAITING),
        ("00000001-001-003", 2, 1000, "CONFIRM", TaskState.WAITING),
        ("00000001-001-004", 2, 1001, "CONFIRM", TaskState.WAITING),
    ]
    assert _state(store) is ClusterState.PENDING
    assert store.cluster("demo").last_job == job.id


def test_jobs_are_counted_per_cluster(store: Store) -> None:
    first, second = _active(store, "a"), _active(store, "b")
    assert store.start_job(second, "STOP_SERVICES", stages()).id == "00000002-002"
    assert [job.id for job in store.jobs(first)] == ["00000001-001"]
    assert [job.id for job in store.jobs(second)] == ["00000002-001", "00000002-002"]


def test_a_second_job_is_refused_as_busy_and_names_the_running_one(store: Store) -> None:
    cluster = _active(store)
    store.start_job(cluster, "STOP_SERVICES", stages())
    with pytest.raises(
        Busy, match=r"demo is busy: job 00000001-002 STOP_SERVICES is running in process \d+ on"
    ) as caught:
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    assert caught.value.exit_code == 9
    assert "coopr status demo" in caught.value.hint
    assert len(store.jobs(cluster)) == 2


def test_an_operation_the_state_does_not_allow_is_refused_and_leaves_nothing_behind(store: Store) -> None:
    cluster = new_cluster(store)
    with pytest.raises(Refused, match=r"demo \(00000001\) is INCOMPLETE"):
        store.start_job(cluster.id, "START_SERVICES", stages())
    with pytest.raises(InvalidInput, match="no operation 'DANCE'"):
        store.start_job(cluster.id, "DANCE", stages())
    with pytest.raises(NotFound):
        store.start_job("00000099", "CLUSTER_DELETE", stages())
    assert store.jobs(cluster.id) == []
    assert store.cluster("demo") == cluster


@pytest.mark.parametrize(
    ("operation", "end", "machines", "after"),
    [
        ("CLUSTER_CREATE", JobState.SUCCEEDED, True, ClusterState.ACTIVE),
        ("CLUSTER_CREATE", JobState.FAILED, True, ClusterState.INCOMPLETE),
        ("CLUSTER_CREATE", JobState.INTERRUPTED, True, ClusterState.INCOMPLETE),
        ("CLUSTER_CREATE", JobState.FAILED, False, ClusterState.TERMINATED),
        ("CLUSTER_CREATE", JobState.INTERRUPTED, False, ClusterState.INCOMPLETE),
        ("CLUSTER_DELETE", JobState.SUCCEEDED, True, ClusterState.TERMINATED),
        ("CLUSTER_DELETE", JobState.FAILED, True, ClusterState.INCOMPLETE),
    ],
)
def test_the_end_of_a_job_decides_the_clusters_state(
    store: Store, operation: str, end: JobState, machines: bool, after: ClusterState
) -> None:
    cluster = new_cluster(store)
    if machines:
        store.intend_machine(cluster.id, 1000)
    job = store.start_job(cluster.id, operation, stages())
    ended = store.finish_job(job.id, end, "because")
    assert (ended.state, ended.message) == (end, "because")
    assert ended.ended is not None
    assert _state(store) is after


def test_a_failed_change_of_an_active_cluster_makes_it_inconsistent(store: Store) -> None:
    cluster = _active(store)
    store.finish_job(store.start_job(cluster, "RESTART_SERVICES", stages()).id, JobState.FAILED)
    assert _state(store) is ClusterState.INCONSISTENT


def test_deleting_a_protected_or_a_deleted_cluster_is_refused(store: Store) -> None:
    cluster = _active(store)
    store.set_protected(cluster, True)
    with pytest.raises(Refused, match="protected"):
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    store.set_protected(cluster, False)
    store.finish_job(store.start_job(cluster, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)
    with pytest.raises(Refused, match="TERMINATED already"):
        store.start_job(cluster, "CLUSTER_DELETE", stages())


def test_ending_a_job_twice_the_same_way_is_one_end_and_another_way_is_refused(store: Store) -> None:
    cluster = new_cluster(store)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    first = store.finish_job(job.id, JobState.FAILED, "a")
    assert store.finish_job(job.id, JobState.FAILED, "b") == first
    with pytest.raises(Refused, match="FAILED already"):
        store.finish_job(job.id, JobState.SUCCEEDED)
    with pytest.raises(ValueError, match="does not end as RUNNING"):
        store.finish_job(job.id, JobState.RUNNING)


def test_a_plan_without_tasks_is_a_job_too(store: Store) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "ADD_SERVICES", stages(actions=()))
    assert (store.tasks(job.id), store.progress(job.id).total) == ([], 0)
    store.finish_job(job.id, JobState.SUCCEEDED)
    assert _state(store) is ClusterState.ACTIVE


def test_running_attempts_of_an_interrupted_job_are_interrupted(store: Store) -> None:
    cluster = new_cluster(store)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    first, second, *_ = store.tasks(job.id)
    store.finish_attempt(store.start_attempt(first.id), AttemptState.SUCCEEDED)
    store.start_attempt(second.id)
    store.intend_machine(cluster.id, 1000)
    store.finish_job(job.id, JobState.INTERRUPTED)
    states = [task.state for task in store.tasks(job.id)]
    assert states == [TaskState.SUCCEEDED, TaskState.INTERRUPTED, TaskState.WAITING, TaskState.WAITING]
    assert store.attempts(second.id)[0].state is AttemptState.INTERRUPTED


def test_a_resumed_job_keeps_its_ids_and_what_succeeded(store: Store) -> None:
    cluster = new_cluster(store)
    store.intend_machine(cluster.id, 1000)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    before = store.tasks(job.id)
    store.finish_attempt(store.start_attempt(before[0].id), AttemptState.SUCCEEDED)
    store.finish_attempt(store.start_attempt(before[1].id), AttemptState.FAILED, exit_status=1, message="no")
    store.finish_job(job.id, JobState.FAILED, "1 task failed")
    resumed = store.resume_job(job.id)
    assert (resumed.id, resumed.state, resumed.ended, resumed.message) == (job.id, JobState.RUNNING, None, "")
    assert _state(store) is ClusterState.PENDING
    after = store.tasks(job.id)
    assert [task.id for task in after] == [task.id for task in before]
    assert [task.state for task in after] == [TaskState.SUCCEEDED, *[TaskState.WAITING] * 3]
    assert (after[1].message, after[1].exit_status, after[1].attempts) == ("", None, 1)
    assert store.start_attempt(before[1].id).number == 2
    assert [attempt.state for attempt in store.attempts(before[1].id)] == [AttemptState.FAILED, AttemptState.RUNNING]


def test_only_the_last_unsuccessful_job_of_a_living_cluster_can_be_resumed(store: Store) -> None:
    cluster = _active(store)
    with pytest.raises(Refused, match="has succeeded"):
        store.resume_job(f"{cluster}-001")
    failed = store.start_job(cluster, "CLUSTER_CONFIGURE", stages())
    with pytest.raises(Busy, match=failed.id):
        store.resume_job(failed.id)
    store.finish_job(failed.id, JobState.FAILED)
    store.finish_job(store.start_job(cluster, "CLUSTER_CONFIGURE", stages()).id, JobState.FAILED)
    with pytest.raises(Refused, match="not the cluster's last job"):
        store.resume_job(failed.id)
    with pytest.raises(NotFound):
        store.resume_job(f"{cluster}-009")
    gone = new_cluster(store, "gone")
    job = store.start_job(gone.id, "CLUSTER_CREATE", stages())
    store.finish_job(job.id, JobState.FAILED)
    with pytest.raises(Refused, match="the cluster is gone"):
        store.resume_job(job.id)


def test_a_paused_job_holds_its_cluster_until_it_is_resumed(store: Store, url: str) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "STOP_SERVICES", stages(), claimed_by=ELSEWHERE)
    assert store.pause_job(job.id).state is JobState.PAUSED
    assert store.pause_job(job.id).state is JobState.PAUSED
    _age_heartbeat(url, 10_000)
    with pytest.raises(Busy, match="is paused"):
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    with pytest.raises(Refused, match="its job is PAUSED"):
        store.start_attempt(store.tasks(job.id)[0].id)
    assert store.resume_job(job.id).state is JobState.RUNNING
    store.finish_job(job.id, JobState.SUCCEEDED)
    with pytest.raises(Refused, match="is SUCCEEDED: there is nothing to pause"):
        store.pause_job(job.id)


def test_a_paused_job_goes_on_in_its_own_worker_until_that_has_let_go_of_it(store: Store) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "STOP_SERVICES", stages())
    assert not store.unpause_job(job.id), "it is not paused"
    assert not store.leave_job(job.id)
    store.pause_job(job.id)
    with pytest.raises(Busy, match="is pausing"):
        store.resume_job(job.id)
    assert store.unpause_job(job.id)
    assert store.job_state(job.id) is JobState.RUNNING
    store.pause_job(job.id)
    assert not store.leave_job(job.id, claimed_by=ELSEWHERE), "only its worker can let go of it"
    assert store.leave_job(job.id)
    assert not store.unpause_job(job.id)
    assert store.resume_job(job.id, claimed_by=ELSEWHERE).claimed_by == ELSEWHERE


def test_aborting_waits_for_the_worker_and_ends_at_once_where_there_is_none(store: Store, url: str) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "STOP_SERVICES", stages())
    assert store.abort_job(job.id).state is JobState.ABORTING
    assert store.abort_job(job.id).state is JobState.ABORTING
    with pytest.raises(Busy, match="is aborting"):
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    with pytest.raises(Refused, match="its job is ABORTING"):
        store.start_attempt(store.tasks(job.id)[0].id)
    assert store.heartbeat(job.id)
    assert store.finish_job(job.id, JobState.INTERRUPTED).state is JobState.INTERRUPTED
    assert store.abort_job(job.id).state is JobState.INTERRUPTED

    store.resume_job(job.id)
    store.pause_job(job.id)
    store.leave_job(job.id)
    assert store.abort_job(job.id).state is JobState.INTERRUPTED
    store.resume_job(job.id, claimed_by=ELSEWHERE)
    store.abort_job(job.id)
    _age_heartbeat(url, 10_000)
    assert store.abort_job(job.id).state is JobState.INTERRUPTED
    store.resume_job(job.id)
    store.finish_job(job.id, JobState.SUCCEEDED)
    with pytest.raises(Refused, match="nothing to abort"):
        store.abort_job(job.id)


def test_the_job_of_a_flow_run_is_its_newest(store: Store) -> None:
    cluster = _active(store)
    assert store.job_of_flow_run("run-1") is None
    first = store.start_job(cluster, "STOP_SERVICES", stages(), flow_run_id="run-1")
    found = store.job_of_flow_run("run-1")
    assert found is not None
    assert found.id == first.id
    store.set_flow_run(first.id, "run-2")
    assert store.job_of_flow_run("run-1") is None


def test_a_claim_with_a_heartbeat_is_kept_and_one_without_is_taken_over(store: Store, url: str) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "STOP_SERVICES", stages(), claimed_by=ELSEWHERE)
    attempt = store.start_attempt(store.tasks(job.id)[0].id)
    _age_heartbeat(url, claims.STALE_SECONDS - 20)
    with pytest.raises(Busy, match="process 77 on another-host"):
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    assert store.heartbeat(job.id, claimed_by=ELSEWHERE)
    with pytest.raises(Busy):
        store.start_job(cluster, "CLUSTER_DELETE", stages())
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    store.start_job(cluster, "CLUSTER_DELETE", stages())
    lost = store.job(job.id)
    assert (lost.state, lost.message) == (JobState.INTERRUPTED, "Its worker (process 77 on another-host) is gone")
    assert not store.heartbeat(job.id, claimed_by=ELSEWHERE)
    assert store.finish_attempt(attempt, AttemptState.SUCCEEDED).state is TaskState.INTERRUPTED
    with pytest.raises(Refused, match="its job is INTERRUPTED"):
        store.start_attempt(attempt.task_id)
    with pytest.raises(Refused, match="INTERRUPTED already"):
        store.finish_job(job.id, JobState.SUCCEEDED)


def test_a_cluster_whose_worker_is_gone_shows_it_even_when_nothing_else_may_start(store: Store, url: str) -> None:
    cluster = new_cluster(store)
    store.intend_machine(cluster.id, 1000)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(), claimed_by=ELSEWHERE)
    assert store.end_abandoned_job(cluster.id) is None
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    with pytest.raises(Refused, match="is INCOMPLETE: START_SERVICES needs"):
        store.start_job(cluster.id, "START_SERVICES", stages())
    assert store.job(job.id).state is JobState.INTERRUPTED
    assert _state(store) is ClusterState.INCOMPLETE
    resumed = store.resume_job(job.id, claimed_by=ELSEWHERE)
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    ended = store.end_abandoned_job(cluster.id)
    assert ended is not None
    assert (ended.id, ended.state) == (resumed.id, JobState.INTERRUPTED)


def test_a_create_whose_worker_vanished_before_any_machine_can_be_resumed(store: Store, url: str) -> None:
    cluster = new_cluster(store)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(), claimed_by=ELSEWHERE)
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    assert store.resume_job(job.id).state is JobState.RUNNING
    store.finish_job(job.id, JobState.SUCCEEDED)
    assert _state(store) is ClusterState.ACTIVE


def test_a_resumed_job_belongs_to_the_process_that_resumed_it(store: Store, url: str) -> None:
    cluster = _active(store)
    job = store.start_job(cluster, "STOP_SERVICES", stages(), claimed_by=ELSEWHERE)
    _age_heartbeat(url, claims.STALE_SECONDS + 20)
    assert store.resume_job(job.id).claimed_by == claims.claimant()
    assert store.heartbeat(job.id)
    assert not store.heartbeat(job.id, claimed_by=ELSEWHERE)


def test_the_claim_of_a_killed_process_of_this_machine_is_taken_over_at_once(store: Store, url: str) -> None:
    cluster = _active(store)
    code = """
import time
from coopr_core.store import Store
from store_samples import stages
job = Store.open(sys.argv[1]).start_job(sys.argv[2], "STOP_SERVICES", stages())
print(job.id, flush=True)
time.sleep(60)
"""
    process = python(code, url, cluster)
    try:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()
        with pytest.raises(Busy, match=f"process {process.pid} on"):
            store.resume_job(job_id)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = store.resume_job(job_id)
    assert (resumed.id, resumed.claimed_by) == (job_id, claims.claimant())


def test_progress_counts_tasks_by_state_and_knows_the_first_stage_not_done(store: Store) -> None:
    cluster = new_cluster(store)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    progress = store.progress(job.id)
    assert (progress.stage, progress.stages, progress.total) == (1, 2, 4)
    for task in store.tasks(job.id, stage=1):
        store.finish_attempt(store.start_attempt(task.id), AttemptState.SUCCEEDED)
    store.start_attempt(store.tasks(job.id, stage=2)[0].id)
    progress = store.progress(job.id)
    assert progress.stage == 2
    assert set(progress.counts) == set(TaskState)
    assert {state: count for state, count in progress.counts.items() if count} == {
        TaskState.SUCCEEDED: 2,
        TaskState.RUNNING: 1,
        TaskState.WAITING: 1,
    }
    assert store.task_counts(job.id) == progress.counts
    for task in store.tasks(job.id, stage=2):
        store.finish_attempt(store.start_attempt(task.id), AttemptState.SUCCEEDED)
    assert store.progress(job.id).stage == 2


def test_a_job_remembers_its_flow_run(store: Store) -> None:
    job = store.start_job(new_cluster(store).id, "CLUSTER_CREATE", stages())
    store.set_flow_run(job.id, "f3b2")
    assert store.job(job.id).flow_run_id == "f3b2"


def test_a_job_costs_in_proportion_to_its_tasks_and_polling_it_less_than_that(store: Store) -> None:
    def started(nodes: int) -> Callable[[], JobRecord]:
        cluster = new_cluster(store, f"of-{nodes}", size=nodes)
        store.finish_job(store.start_job(cluster.id, "CLUSTER_CREATE", stages(nodes)).id, JobState.SUCCEEDED)
        plan = stages(nodes, tuple(f"ACTION{number}" for number in range(14)))

        def start() -> JobRecord:
            job = store.start_job(cluster.id, "RESTART_SERVICES", plan)
            store.finish_job(job.id, JobState.SUCCEEDED)
            return job

        return start

    def polling(nodes: int) -> Callable[[], object]:
        job = started(nodes)()
        assert store.tasks(job.id)[-1].id == f"{job.id}-{14 * nodes}"
        return lambda: [store.progress(job.id) for _ in range(10)]

    assert growth(started, 125, 1000) < 24
    assert growth(polling, 126, 1001) < 6, "8 when all tasks are read"


def test_looking_at_a_cluster_reads_neither_plans_nor_parameters(store: Store) -> None:
    cluster_id = _active(store)
    job = store.start_job(cluster_id, "STOP_SERVICES", stages())
    store.finish_job(job.id, JobState.SUCCEEDED)
    statements: list[str] = []
    listen(store._database._engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    looks = (
        store.clusters,
        lambda: store.cluster("demo"),
        lambda: store.jobs(cluster_id),
        lambda: store.job(job.id),
        lambda: store.newest_job(cluster_id),
        lambda: store.progress(job.id),
        lambda: store.task_counts_of(cluster_id),
        lambda: store.tasks(job.id),
        lambda: store.nodes(cluster_id),
        lambda: store.history(cluster_id),
        lambda: store.heartbeat(job.id),
        lambda: store.end_abandoned_job(cluster_id),
    )
    for look in looks:
        look()
    assert len(statements) >= len(looks)
    assert [text for text in statements if "plans" in text or "parameters" in text] == []
    assert store.recorded_plan(job.id) == stages().record()
    assert "plans" in statements[-1]


def test_the_tasks_of_all_jobs_are_counted_in_one_statement(store: Store) -> None:
    cluster_id = _active(store)
    job = store.start_job(cluster_id, "STOP_SERVICES", stages(1, ("STOP",)))
    store.finish_attempt(store.start_attempt(f"{job.id}-001"), AttemptState.SUCCEEDED)
    counts = store.task_counts_of(cluster_id)
    assert set(counts) == {each.id for each in store.jobs(cluster_id)}
    assert {state: count for state, count in counts[job.id].items() if count} == {TaskState.SUCCEEDED: 1}
    assert counts[job.id] == store.task_counts(job.id)
