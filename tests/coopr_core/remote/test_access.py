"""One connection per node, whoever asks for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_servers import QUICK, AsyncServer, machine_at, running

from coopr_core.errors import Interrupted
from coopr_core.providers.contract import Machine
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.command import CommandStopped
from coopr_core.remote.keys import ensure_client_key


@pytest.fixture
def fresh(key_path: Path):  # type: ignore[no-untyped-def]
    with running(AsyncServer(ensure_client_key(key_path))) as server:
        yield server


def test_asking_for_a_session_does_not_connect(access: NodeAccess, fresh: AsyncServer) -> None:
    access.session(machine_at(fresh.port, fresh.host_keys))
    assert fresh.connections == 0


def test_all_tasks_of_a_node_share_one_connection(access: NodeAccess, fresh: AsyncServer) -> None:
    machine = machine_at(fresh.port, fresh.host_keys)
    threads = [threading.Thread(target=lambda: access.session(machine).run("true")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh.connections == 1


def test_each_node_has_its_own_connection(access: NodeAccess, fresh: AsyncServer) -> None:
    for token in ("a", "b", "c"):
        access.session(machine_at(fresh.port, fresh.host_keys, token=token)).run("true")
    assert fresh.connections == 3


def test_a_dropped_or_changed_machine_gets_a_new_connection(access: NodeAccess, fresh: AsyncServer) -> None:
    machine = replace(machine_at(fresh.port, fresh.host_keys), host_keys=tuple(fresh.host_keys))
    access.session(machine).run("true")
    access.session(Machine.from_json(machine.to_json())).run("true")
    assert fresh.connections == 1
    access.drop(machine)
    access.session(machine).run("true")
    assert fresh.connections == 2
    access.session(replace(machine, ssh_user="you")).run("true")
    assert fresh.connections == 3


def test_stopping_ends_what_runs_on_all_nodes_and_refuses_more(access: NodeAccess, fresh: AsyncServer) -> None:
    ended: list[BaseException] = []

    def work(token: str) -> None:
        try:
            access.session(machine_at(fresh.port, fresh.host_keys, token=token)).run("sleep 60")
        except CommandStopped as error:
            ended.append(error)

    threads = [threading.Thread(target=work, args=(token,)) for token in "abc"]
    for thread in threads:
        thread.start()
    threading.Timer(0.5, access.stop).start()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 3
    with pytest.raises(Interrupted):
        access.session(machine_at(fresh.port, fresh.host_keys))


def test_stopping_one_session_leaves_the_others(access: NodeAccess, fresh: AsyncServer) -> None:
    one, two = (access.session(machine_at(fresh.port, fresh.host_keys, token=token)) for token in "ab")
    one.stop()
    assert two.run("echo on").stdout == "on\n"
    with pytest.raises(CommandStopped):
        one.run("true")
    assert access.session(one.machine).run("echo again").stdout == "again\n"


def test_a_secret_added_late_is_redacted_in_sessions_made_before(access: NodeAccess, fresh: AsyncServer) -> None:
    session = access.session(machine_at(fresh.port, fresh.host_keys))
    access.redactor.add("added-late")
    assert session.run("echo added-late").stdout == "***\n"


def test_closing_twice_is_fine(key_path: Path, fresh: AsyncServer) -> None:
    pool = NodeAccess(key_path, limits=QUICK)
    pool.session(machine_at(fresh.port, fresh.host_keys)).run("true")
    pool.close()
    pool.close()
