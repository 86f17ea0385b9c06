"""Of a job's live progress no line is lost and none comes twice, in whatever order its ends are recorded."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command_line import Coopr
from store_samples import new_cluster, stages

from coopr_cli import progress
from coopr_cli.progress import Lines, shown
from coopr_core.model.records import JobRecord
from coopr_core.model.states import AttemptState, JobState
from coopr_core.store import Store, tasks
from coopr_core.store.database import StoreUnavailable
from coopr_core.store.rows import now

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'coopr.db'}") as opened:
        yield opened


def started(store: Store, size: int = 2) -> JobRecord:
    return store.start_job(new_cluster(store, size=size).id, "CLUSTER_CREATE", stages(size))


def ended(store: Store, job: JobRecord, number: int, state: AttemptState = AttemptState.SUCCEEDED, **how: bool) -> None:
    store.finish_attempt(store.start_attempt(f"{job.id}-{number:03d}"), state, **how)


def lines(printed: Printed) -> list[str]:
    """What was printed since the last look: count, task and outcome of each line."""
    return [
        f"{words[0]} {words[1][-3:]} {words[-3]}" for words in map(str.split, printed.readouterr().err.splitlines())
    ]


def test_every_end_is_told_once_however_tasks_end_beside_each_other(store: Store, capsys: Printed) -> None:
    job = started(store, size=60)
    over = threading.Event()
    view = Lines()

    def watch() -> None:
        while not over.is_set():
            view.show(store, store.progress(job.id))

    def work(number: int) -> None:
        if number % 7 == 0:
            ended(store, job, number, AttemptState.FAILED, retry=True)
        ended(store, job, number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, random.Random(7).sample(range(1, 121), 120)))
    over.set()
    watcher.join()
    view.show(store, store.progress(job.id))
    told = Counter(line.partition(" ")[2] for line in lines(capsys))
    once = [f"{number:03d} succeeded" for number in range(1, 121)]
    assert told == Counter(once + [f"{number:03d} retrying" for number in range(7, 121, 7)])


@pytest.mark.parametrize("late", [timedelta(milliseconds=1), timedelta(hours=1)])
def test_an_end_recorded_after_a_later_one_is_told(
    store: Store, capsys: Printed, monkeypatch: pytest.MonkeyPatch, late: timedelta
) -> None:
    job, view = started(store), Lines()
    ended(store, job, 1)
    view.show(store, store.progress(job.id))
    assert lines(capsys) == ["[1/4] 001 succeeded"]
    early = now() - late
    monkeypatch.setattr(tasks, "now", lambda: early)
    ended(store, job, 2)
    view.show(store, store.progress(job.id))
    view.show(store, store.progress(job.id))
    assert lines(capsys) == ["[2/4] 002 succeeded"]


def test_ends_that_leave_the_counts_as_they_were_are_told(store: Store, capsys: Printed) -> None:
    job, view = started(store), Lines()
    running = store.start_attempt(f"{job.id}-001")
    view.show(store, store.progress(job.id))
    store.finish_attempt(running, AttemptState.FAILED, retry=True)
    ended(store, job, 1, AttemptState.UNKNOWN, retry=True)
    store.start_attempt(f"{job.id}-001")
    view.show(store, store.progress(job.id))
    assert lines(capsys) == ["[0/4] 001 retrying", "[0/4] 001 retrying"]


def test_what_a_stop_interrupts_is_told_also_what_waited_to_be_tried_again(store: Store, capsys: Printed) -> None:
    job, view = started(store), Lines()
    store.start_attempt(f"{job.id}-001")
    ended(store, job, 2, AttemptState.FAILED, retry=True)
    view.show(store, store.progress(job.id))
    store.finish_job(job.id, JobState.INTERRUPTED, "stopped")
    for _ in range(2):
        view.show(store, store.progress(job.id))
    assert lines(capsys) == ["[0/4] 002 retrying", "[0/4] 001 interrupted", "[0/4] 002 interrupted"]


def test_a_job_that_goes_on_tells_only_what_is_new(store: Store, capsys: Printed) -> None:
    job = started(store)
    ended(store, job, 1)
    ended(store, job, 2, AttemptState.FAILED)
    ended(store, job, 3, AttemptState.FAILED, retry=True)
    store.finish_job(job.id, JobState.INTERRUPTED, "stopped")
    with shown(store, lambda: store.job(job.id)):
        store.resume_job(job.id)
        for number in (2, 3, 4):
            ended(store, job, number)
    assert lines(capsys) == ["[2/4] 002 succeeded", "[3/4] 003 succeeded", "[4/4] 004 succeeded"]


def test_a_database_that_cannot_be_asked_for_a_moment_costs_no_line(
    store: Store, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    job, asked, real = started(store), threading.Event(), store.progress

    def failing(job_id: str) -> object:
        asked.set()
        raise StoreUnavailable("gone for a moment")

    monkeypatch.setattr(store, "progress", failing)
    with shown(store, lambda: store.job(job.id)):
        assert asked.wait(30)
        ended(store, job, 1)
        monkeypatch.setattr(store, "progress", real)
    assert lines(capsys) == ["[1/4] 001 succeeded"]


def test_a_log_that_is_followed_is_never_cut_within_a_line(
    tmp_path: Path, coopr: Coopr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'logs.db'}")
    log = tmp_path / "task.log"
    log.write_bytes(b"first line\nthe pass")
    with Store.open() as store:
        job = started(store)
        attempt = store.start_attempt(f"{job.id}-001", log=str(log))

        def go_on(_seconds: float) -> None:
            with log.open("ab") as file:
                file.write("word is sw\u00f6rd\nlast".encode())
            store.finish_attempt(attempt, AttemptState.SUCCEEDED)
            store.finish_job(job.id, JobState.INTERRUPTED, "stopped")

        monkeypatch.setattr("coopr_cli.tasks.time.sleep", go_on)
        done = coopr("logs", "-f", f"{job.id}-001")
    assert done.out == "first line\nthe password is sw\u00f6rd\nlast\n"


def test_a_time_is_told_for_each_end(store: Store, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    job, view = started(store), Lines()
    moment = datetime.fromisoformat("2026-11-01T12:00:00+00:00")
    monkeypatch.setattr(tasks, "now", lambda: moment)
    running = store.start_attempt(f"{job.id}-002")
    monkeypatch.setattr(tasks, "now", lambda: moment + timedelta(seconds=42))
    store.finish_attempt(running, AttemptState.SUCCEEDED)
    view.show(store, store.progress(job.id))
    assert capsys.readouterr().err == f"[1/4] {job.id}-002 CREATE @ 1001 succeeded in 42s\n"
