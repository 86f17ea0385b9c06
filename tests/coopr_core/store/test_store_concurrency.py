from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from store_samples import begin, new_cluster, python, stages

from coopr_core.errors import Busy, InvalidInput, Refused
from coopr_core.model.states import AttemptState, JobState, NodeState, TaskState
from coopr_core.store import Store

WORK = """
from concurrent.futures import ThreadPoolExecutor
from coopr_core.model.states import AttemptState
from coopr_core.store import Store
url, job, share = sys.argv[1:]
store = Store.open(url)
def work(task):
    attempt = store.start_attempt(task.id, task_run_id="r")
    store.heartbeat(job)
    store.intend_machine(task.cluster_id, task.node)
    store.progress(job)
    store.finish_attempt(attempt, AttemptState.SUCCEEDED, exit_status=0)
mine = [task for number, task in enumerate(store.tasks(job)) if number % 2 == int(share)]
with ThreadPoolExecutor(16) as pool:
    list(pool.map(work, mine))
"""

RACE = """
import time
from concurrent.futures import ThreadPoolExecutor
from coopr_core.errors import Busy
from coopr_core.store import Store
from store_samples import stages
url, cluster, moment = sys.argv[1:]
store = Store.open(url)
def start(_):
    time.sleep(max(0, float(moment) - time.time()))
    try:
        return store.start_job(cluster, "CLUSTER_CREATE", stages(), claimed_by="elsewhere:1:place-1").id
    except Busy as busy:
        assert busy.exit_code == 9
        return ""
with ThreadPoolExecutor(8) as pool:
    print([job for job in pool.map(start, range(8)) if job])
"""


def _outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def test_two_processes_of_16_threads_work_on_one_job_without_a_lock_error(store: Store, url: str) -> None:
    cluster = new_cluster(store, size=40)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(40, ("A", "B", "C", "D", "E")))
    _outputs([python(WORK, url, job.id, str(share)) for share in (0, 1)])
    assert store.task_counts(job.id)[TaskState.SUCCEEDED] == 200
    assert {task.attempts for task in store.tasks(job.id)} == {1}
    tokens = {node.token for node in store.nodes(cluster.id)}
    assert len(tokens) == 40
    assert {node.state for node in store.nodes(cluster.id)} == {NodeState.REQUESTED}


def test_of_many_processes_and_threads_that_start_a_job_exactly_one_does(store: Store, url: str) -> None:
    cluster = new_cluster(store)
    moment = str(time.time() + 2)
    outputs = _outputs([python(RACE, url, cluster.id, moment) for _ in range(3)])
    assert sorted(output.strip() for output in outputs) == ["['00000001-001']", "[]", "[]"]
    assert len(store.jobs(cluster.id)) == 1


def test_the_database_itself_forbids_two_jobs_on_one_cluster(store: Store) -> None:
    cluster = new_cluster(store)
    store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    copy = text(
        "INSERT INTO jobs"
        " (cluster, number, operation, state, created, claimed_by, flow_run, message, stages, parameters)"
        " SELECT cluster, 2, operation, 'PAUSED', created, '', '', '', 0, parameters FROM jobs"
    )
    with pytest.raises(IntegrityError), store._database.write() as connection:
        connection.execute(copy)


def test_names_given_at_once_from_many_threads_are_given_once(store: Store) -> None:
    def create(_: int) -> bool:
        try:
            begin(store)
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_a_job_that_ends_while_attempts_start_leaves_no_attempt_running(store: Store) -> None:
    cluster = new_cluster(store, size=50)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(50))

    def attempt(task_id: str) -> None:
        try:
            store.finish_attempt(store.start_attempt(task_id), AttemptState.SUCCEEDED)
            store.start_attempt(task_id)
        except Refused:
            pass

    with ThreadPoolExecutor(16) as pool:
        running = [pool.submit(attempt, task.id) for task in store.tasks(job.id)]
        running[20].result()
        store.finish_job(job.id, JobState.INTERRUPTED)
        for future in running:
            future.result()
    assert store.task_counts(job.id)[TaskState.RUNNING] == 0
    attempts = [attempt for task in store.tasks(job.id) for attempt in store.attempts(task.id)]
    assert AttemptState.RUNNING not in {attempt.state for attempt in attempts}


def test_readers_see_whole_transactions_while_a_writer_works(store: Store) -> None:
    cluster = new_cluster(store, size=200)
    with ThreadPoolExecutor(2) as pool:
        started = pool.submit(store.start_job, cluster.id, "CLUSTER_CREATE", stages(200, tuple("ABCDEFGHIJ")))
        while not started.done():
            jobs = store.jobs(cluster.id)
            assert not jobs or store.progress(jobs[0].id).total == 2000
    assert store.progress(started.result().id).total == 2000


def test_a_busy_cluster_does_not_keep_others_from_starting(store: Store) -> None:
    clusters = [new_cluster(store, f"c{number}") for number in range(16)]

    def start(cluster_id: str) -> str:
        return store.start_job(cluster_id, "CLUSTER_CREATE", stages()).id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, [cluster.id for cluster in clusters]))) == 16
    with pytest.raises(Busy):
        start(clusters[0].id)
