"""Writers of one process on a SQLite file share commits, and nothing else: each change is its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from coopr_core.store import group_commit
from coopr_core.store.database import Database
from coopr_core.store.failures import StoreFull, Undone

WRITERS = 8


class Rows:
    """A table of numbers, and how many commits it took to write them."""

    def __init__(self, file: Path) -> None:
        self.database = Database(f"sqlite:///{file}")
        self.database.use_write_ahead_log()
        with self.database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)")
        self.commits = 0
        sa.event.listen(self.database._engine, "commit", self._count)

    def _count(self, _connection: Connection) -> None:
        self.commits += 1

    def add(self, number: int, *, text: str = "", durable: bool = False, then: Callable[..., object] = bool) -> None:
        with self.database.write(durable=durable) as connection:
            connection.execute(sa.text("INSERT INTO rows VALUES (:number, :text)"), {"number": number, "text": text})
            then(connection)

    def numbers(self) -> list[int]:
        with self.database.read() as connection:
            return list(connection.execute(sa.text("SELECT number FROM rows ORDER BY number")).scalars())

    def wait_until_queued(self, writers: int) -> None:
        deadline = time.monotonic() + 60
        while self.database._group._waiting < writers:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def together(self, *changes: Callable[[], object]) -> list[Future[object]]:
        """Make the changes while the first still holds the file, which they then get in any order; their futures."""
        holds, queued = threading.Event(), threading.Event()
        with ThreadPoolExecutor(len(changes) + 1) as pool:
            first = pool.submit(self.add, 0, then=lambda _connection: (holds.set(), queued.wait(60)))
            assert holds.wait(60)
            futures: list[Future[object]] = []
            for change in changes:
                futures.append(pool.submit(change))
                self.wait_until_queued(len(futures))
            queued.set()
            first.exception()
        return [first, *futures]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rows]:
    monkeypatch.setattr(group_commit, "LONGEST_SECONDS", 60.0)
    made = Rows(tmp_path / "rows.db")
    yield made
    made.database.close()


def test_writers_that_wait_for_each_other_share_one_commit(rows: Rows) -> None:
    futures = rows.together(*(lambda number=number: rows.add(number, durable=True) for number in range(1, WRITERS)))
    assert [future.exception() for future in futures] == [None] * WRITERS
    assert rows.numbers() == list(range(WRITERS))
    assert rows.commits == 2, "the first asked for less, so that it does not wait for the disk; the others share one"


def test_a_writer_that_is_alone_is_committed_at_once(rows: Rows) -> None:
    for number in range(3):
        rows.add(number)
    assert rows.commits == 3


def test_nobody_goes_on_before_the_change_is_committed(rows: Rows) -> None:
    seen: list[list[int]] = []

    def second(_connection: Connection) -> None:
        seen.append(rows.numbers())
        time.sleep(0.2)
        seen.append([int(first.done())])

    with ThreadPoolExecutor(2) as pool:
        holds, queued = threading.Event(), threading.Event()
        first = pool.submit(rows.add, 0, then=lambda _connection: (holds.set(), queued.wait(60)))
        assert holds.wait(60)
        other = pool.submit(rows.add, 1, then=second)
        rows.wait_until_queued(1)
        queued.set()
        other.result()
        first.result()
    assert seen == [[], [0]]
    assert rows.numbers() == [0, 1]


def test_a_change_that_is_refused_takes_no_other_along(rows: Rows) -> None:
    def refused(_connection: Connection) -> None:
        raise ValueError("no")

    futures = rows.together(
        lambda: rows.add(1),
        lambda: rows.add(1),
        lambda: rows.add(2, then=refused),
        lambda: rows.add(3),
    )
    kinds = [type(future.exception()) for future in futures]
    assert (kinds[0], *kinds[3:]) == (type(None), ValueError, type(None))
    assert set(kinds[1:3]) == {type(None), IntegrityError}, "whichever of the two comes second is refused"
    assert rows.numbers() == [0, 1, 3]


def test_the_last_may_be_refused_and_the_first_too(rows: Rows) -> None:
    def refused(_connection: Connection) -> None:
        raise ValueError("no")

    futures = rows.together(lambda: rows.add(1), lambda: rows.add(2, then=refused))
    assert [type(future.exception()) for future in futures] == [type(None), type(None), ValueError]
    with pytest.raises(ValueError, match="no"):
        rows.add(5, then=refused)
    rows.add(6)
    assert rows.numbers() == [0, 1, 6]


def test_a_full_database_is_told_to_whom_it_concerns_alone(rows: Rows) -> None:
    def full(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        try:
            connection.execute(sa.text("INSERT INTO rows VALUES (99, :text)"), {"text": "x" * 1_000_000})
        finally:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")

    futures = rows.together(lambda: rows.add(1), lambda: rows.add(2, then=full), lambda: rows.add(3))
    errors = [type(future.exception()) for future in futures]
    assert errors[2] is StoreFull
    assert {*errors[:2], *errors[3:]} <= {type(None), Undone}
    recorded = [
        number for number, error in zip((0, 1, 3), (*errors[:2], errors[3]), strict=True) if error is type(None)
    ]
    assert rows.numbers() == recorded


def test_when_the_transaction_is_lost_everybody_in_it_hears_that_nothing_was_done(rows: Rows) -> None:
    def lose(connection: Connection) -> None:
        connection.connection.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]  # it is open
        raise ValueError("lost")

    futures = rows.together(lambda: rows.add(1), lambda: rows.add(2, then=lose), lambda: rows.add(3))
    kinds = [type(future.exception()) for future in futures]
    assert (kinds[0], kinds[2]) == (Undone, ValueError)
    assert {kinds[1], kinds[3]} <= {Undone, type(None)}  # those who wait for a lock need not get it in their order
    assert rows.numbers() == [number for number, kind in enumerate(kinds) if kind is type(None)]


def test_a_commit_that_fails_is_told_to_everybody_in_it(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    with rows.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE owners (number INTEGER PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE owned (number INTEGER REFERENCES owners (number) DEFERRABLE INITIALLY DEFERRED)"
        )

    def dangling(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO owned VALUES (1)")

    futures = rows.together(lambda: rows.add(1, then=dangling), lambda: rows.add(2))
    assert [type(future.exception()) for future in futures] == [IntegrityError] * 3
    assert rows.numbers() == []
    rows.add(4)
    assert rows.numbers() == [4]


def test_a_change_that_must_survive_a_power_cut_is_committed_so(rows: Rows) -> None:
    levels: dict[int, int] = {}

    def add(number: int, *, durable: bool) -> None:
        def note(connection: Connection) -> None:
            levels[number] = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

        rows.add(number, durable=durable, then=note)

    add(10, durable=False)
    add(11, durable=True)
    add(12, durable=False)
    assert levels == {10: 1, 11: 2, 12: 1}
    rows.together(lambda: add(1, durable=False), lambda: add(2, durable=True), lambda: add(3, durable=False))
    assert levels[2] == 2


def test_a_commit_is_made_though_who_was_to_make_it_never_came(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_LOOK_SECONDS", 0.05)
    rows.database._group._count(1, False)
    rows.add(1)
    assert rows.numbers() == [1]


def test_other_processes_are_not_kept_waiting_by_an_endless_queue(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST_TOGETHER", 3)
    rows.together(*(lambda number=number: rows.add(number) for number in range(1, 9)))
    assert rows.numbers() == list(range(9))
    assert rows.commits == 3
