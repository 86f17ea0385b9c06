"""One connection per node, whoever asks for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_servers import QUICK, AsyncServer, machine_at, running

from coopr_core.errors import Interrupted
from coopr_core.providers.contract import Machine
from coopr_core.remote.command import CommandStopped
from coopr_core.remote.keys import ensure_client_key
from coopr_core.remote.pool import Sessions


@pytest.fixture
def fresh(key_path: Path):  # type: ignore[no-untyped-def]
    with running(AsyncServer(ensure_client_key(key_path))) as server:
        yield server


def test_asking_for_a_session_does_not_connect(sessions: Sessions, fresh: AsyncServer) -> None:
    sessions.session(machine_at(fresh.port, fresh.host_keys))
    assert fresh.connections == 0


def test_all_tasks_of_a_node_share_one_connection(sessions: Sessions, fresh: AsyncServer) -> None:
    machine = machine_at(fresh.port, fresh.host_keys)
    threads = [threading.Thread(target=lambda: sessions.session(machine).run("true")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh.connections == 1


def test_each_node_has_its_own_connection(sessions: Sessions, fresh: AsyncServer) -> None:
    for token in ("a", "b", "c"):
        sessions.session(machine_at(fresh.port, fresh.host_keys, token=token)).run("true")
    assert fresh.connections == 3


def test_a_dropped_or_changed_machine_gets_a_new_connection(sessions: Sessions, fresh: AsyncServer) -> None:
    machine = replace(machine_at(fresh.port, fresh.host_keys), host_keys=tuple(fresh.host_keys))
    sessions.session(machine).run("true")
    sessions.session(Machine.from_json(machine.to_json())).run("true")
    assert fresh.connections == 1
    sessions.drop(machine)
    sessions.session(machine).run("true")
    assert fresh.connections == 2
    sessions.session(replace(machine, ssh_user="you")).run("true")
    assert fresh.connections == 3


def test_stopping_ends_what_runs_on_all_nodes_and_refuses_more(sessions: Sessions, fresh: AsyncServer) -> None:
    ended: list[BaseException] = []

    def work(token: str) -> None:
        try:
            sessions.session(machine_at(fresh.port, fresh.host_keys, token=token)).run("sleep 60")
        except CommandStopped as error:
            ended.append(error)

    threads = [threading.Thread(target=work, args=(token,)) for token in "abc"]
    for thread in threads:
        thread.start()
    threading.Timer(0.5, sessions.stop).start()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 3
    with pytest.raises(Interrupted):
        sessions.session(machine_at(fresh.port, fresh.host_keys))


def test_stopping_one_session_leaves_the_others(sessions: Sessions, fresh: AsyncServer) -> None:
    one, two = (sessions.session(machine_at(fresh.port, fresh.host_keys, token=token)) for token in "ab")
    one.stop()
    assert two.run("echo on").stdout == "on\n"
    with pytest.raises(CommandStopped):
        one.run("true")
    assert sessions.session(one.machine).run("echo again").stdout == "again\n"


def test_a_secret_added_late_is_redacted_in_sessions_made_before(sessions: Sessions, fresh: AsyncServer) -> None:
    session = sessions.session(machine_at(fresh.port, fresh.host_keys))
    sessions.redactor.add("added-late")
    assert session.run("echo added-late").stdout == "***\n"


def test_closing_twice_is_fine(key_path: Path, fresh: AsyncServer) -> None:
    pool = Sessions(key_path, limits=QUICK)
    pool.session(machine_at(fresh.port, fresh.host_keys)).run("true")
    pool.close()
    pool.close()
