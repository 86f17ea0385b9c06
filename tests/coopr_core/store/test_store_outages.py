"""A database server that goes away for a moment costs time, nothing else: no call fails, none is done twice."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from postgresql_server import PostgresqlServer
from store_samples import new_cluster, stages

from coopr_core.model.records import JobRecord
from coopr_core.model.states import AttemptState, JobState, TaskState
from coopr_core.store import Store, commit_mark, database
from coopr_core.store.failures import StoreUnavailable


@pytest.fixture
def server_store(postgresql: PostgresqlServer) -> Iterator[Store]:
    with Store.open(postgresql.new_database()) as opened:
        yield opened


@pytest.mark.real
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_no_call_fails_while_the_server_restarts_and_none_is_done_twice(
    postgresql: PostgresqlServer, server_store: Store, mode: str
) -> None:
    store = server_store
    job = store.start_job(new_cluster(store, size=40).id, "CLUSTER_CREATE", stages(40))
    restarted, done = threading.Event(), threading.Semaphore(0)

    def work(number: int) -> None:
        attempt = store.start_attempt(f"{job.id}-{number:03d}")
        assert store.job_state(job.id) is JobState.RUNNING
        if number % 10 == 0:
            restarted.wait(60)
        store.finish_attempt(attempt, AttemptState.SUCCEEDED)
        done.release()

    with ThreadPoolExecutor(8) as pool:
        running = pool.map(work, range(1, 81))
        for _ in range(8):
            done.acquire()
        postgresql.restart(mode)
        restarted.set()
        list(running)
    assert store.task_counts(job.id)[TaskState.SUCCEEDED] == 80
    assert store.count_ends(job.id) == 80
    assert {attempt.number for _, attempt in store.ends(job.id)} == {1}


@pytest.mark.real
def test_a_store_can_be_opened_while_the_server_restarts(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    Store.open(url).close()
    restarting = threading.Thread(target=postgresql.restart, args=("fast",))
    restarting.start()
    while restarting.is_alive():
        with Store.open(url) as store:
            assert store.clusters() == []
    restarting.join()


def test_a_transaction_that_was_cut_off_is_done_again_once(postgresql: PostgresqlServer, server_store: Store) -> None:
    store, cut = server_store, 0
    cluster = new_cluster(store)

    def end_connections(*_: object, **__: object) -> None:
        nonlocal cut
        cut += 1
        if cut == 1:
            name = store._database.url.database
            with psycopg.connect(postgresql.url("postgres"), autocommit=True) as other:
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                other.execute(query, (name,))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coopr_core.store.jobs.note", end_connections)
        job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    assert cut == 2
    assert [each.id for each in store.jobs(cluster.id)] == [job.id]


class LossyProxy:
    """Stands before the server and, when told to, swallows the answer to one COMMIT and cuts the connection.

    With ``instead``, that COMMIT does not reach the server: this is done in its place.
    """

    instead: Callable[[], None] | None = None

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_next = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:  # it restarts
                client.close()
                continue
            lost = threading.Event()
            threading.Thread(target=self._there, args=(client, server, lost), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server, lost), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := _received(client):
            if b"COMMIT" in data and self.lose_next.is_set():
                self.lose_next.clear()
                lost.set()
                if self.instead is not None:
                    self.instead()
                    break
            server.sendall(data)
        server.close()

    def _back(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := _received(server):
            if lost.is_set():
                break
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)
        client.close()

    def close(self) -> None:
        self._listener.close()


def _received(stream: socket.socket) -> bytes:
    try:
        return stream.recv(65536)
    except OSError:
        return b""


@pytest.fixture
def proxy(postgresql: PostgresqlServer) -> Iterator[LossyProxy]:
    made = LossyProxy(postgresql.port)
    yield made
    made.close()


@pytest.fixture
def distant_store(postgresql: PostgresqlServer, proxy: LossyProxy) -> Iterator[Store]:
    """A store on the other side of the proxy."""
    url = postgresql.new_database().replace(f":{postgresql.port}/", f":{proxy.port}/")
    with Store.open(url) as store:
        yield store


def started_once(store: Store, proxy: LossyProxy) -> JobRecord:
    """A job of a new cluster, recorded once although the answer to its COMMIT was lost."""
    cluster = new_cluster(store)
    proxy.lose_next.set()
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages())
    assert not proxy.lose_next.is_set()
    assert [each.id for each in store.jobs(cluster.id)] == [job.id]
    return job


def test_a_commit_whose_answer_was_lost_counts_and_is_not_done_again(proxy: LossyProxy, distant_store: Store) -> None:
    job = started_once(distant_store, proxy)
    proxy.lose_next.set()
    attempt = distant_store.start_attempt(f"{job.id}-001")
    assert [each.number for each in distant_store.attempts(f"{job.id}-001")] == [attempt.number] == [1]


@pytest.mark.real
def test_a_change_that_a_crash_undid_is_done_again_though_its_transactions_number_was_given_out_again(
    postgresql: PostgresqlServer, proxy: LossyProxy, distant_store: Store
) -> None:
    def crash() -> None:
        postgresql.restart("immediate")
        with psycopg.connect(postgresql.url("postgres"), autocommit=True) as other:
            for _ in range(100):
                other.execute("SELECT txid_current()")

    proxy.instead = crash
    started_once(distant_store, proxy)


def test_marks_of_commits_do_not_pile_up(
    postgresql: PostgresqlServer, server_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_mark, "COMMITS_BETWEEN_SWEEPS", 1)
    store = server_store
    with psycopg.connect(postgresql.url(str(store._database.url.database)), autocommit=True) as other:
        new_cluster(store)
        other.execute("UPDATE commits SET at = at - interval '2 hours'")
        new_cluster(store, "another")
        (left,) = other.execute("SELECT count(*), max(now() - at) < interval '1 hour' FROM commits").fetchall()
    assert left[0] > 0
    assert left[1]


def test_a_server_that_is_gone_for_good_is_one_error_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "FIRST_SECONDS", 0.3)
    with socket.socket() as taken:  # bound, and does not listen
        taken.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            Store.open(f"postgresql://coopr@127.0.0.1:{taken.getsockname()[1]}/nothing")
    assert time.monotonic() - began >= 0.3
