"""One connection per node, whoever asks for it; a provider asked once; few connections open."""

from __future__ import annotations

import resource
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from ssh_servers import PATIENT, AsyncServer, machine_at, running
from watching import wait_for

from coopr_core.errors import Interrupted, OutcomeUnknown, Unreachable, WrongHostKey
from coopr_core.providers.contract import Machine
from coopr_core.remote.access import NodeAccess, most_links
from coopr_core.remote.command import CommandStopped
from coopr_core.remote.endpoint import Endpoint
from coopr_core.remote.keys import ensure_client_key, load_key
from coopr_core.remote.session import Session


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
    all_run = threading.Barrier(4)

    def work(token: str) -> None:
        session = access.session(machine_at(fresh.port, fresh.host_keys, token=token))
        try:
            session.run("echo up; sleep 600", on_line=lambda *_: all_run.wait(60))
        except CommandStopped as error:
            ended.append(error)

    threads = [threading.Thread(target=work, args=(token,)) for token in "abc"]
    for thread in threads:
        thread.start()
    all_run.wait(60)
    access.stop()
    for thread in threads:
        thread.join(60)
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
    pool = NodeAccess(key_path, limits=PATIENT)
    pool.session(machine_at(fresh.port, fresh.host_keys)).run("true")
    pool.close()
    pool.close()


# --- a node that does not answer -------------------------------------------------------------------------------------


class Lost:
    """A node at whose address nothing listens until its provider is asked, which then knows where it is."""

    def __init__(self, machine: Machine) -> None:
        self.before, self._now = replace(machine, port=free_port()), machine
        self.asked: list[Machine] = []

    def revive(self, found: Machine) -> Machine:
        self.asked.append(found)
        return self._now


def test_a_node_that_does_not_answer_is_revived_once_and_then_worked_on(access: NodeAccess, fresh: AsyncServer) -> None:
    lost = Lost(machine_at(fresh.port, fresh.host_keys))
    assert access.on(lost.before, lambda session: session.run("echo one").stdout, lost.revive) == "one\n"
    assert access.on(lost.before, lambda session: session.run("echo two").stdout, lost.revive) == "two\n"
    assert lost.asked == [lost.before]
    assert fresh.connections == 1


def test_a_node_that_still_does_not_answer_is_given_up(access: NodeAccess, fresh: AsyncServer) -> None:
    lost = replace(machine_at(fresh.port, fresh.host_keys), port=free_port())
    asked: list[Machine] = []

    def revive(found: Machine) -> Machine:
        asked.append(found)
        return found

    with pytest.raises(Unreachable):
        access.on(lost, lambda session: session.run("true"), revive)
    assert asked == [lost]


def test_many_who_find_a_node_lost_have_it_revived_once(access: NodeAccess, fresh: AsyncServer) -> None:
    lost = Lost(machine_at(fresh.port, fresh.host_keys))
    all_failed = threading.Barrier(6)

    def work(number: int) -> str:
        def command(session: Session) -> str:
            try:
                return session.run(f"echo {number}").stdout
            except Unreachable:
                all_failed.wait(60)
                raise

        return access.on(lost.before, command, revive)

    def revive(found: Machine) -> Machine:
        time.sleep(0.2)
        return lost.revive(found)

    assert access.each(range(6), work, at_once=6) == [f"{number}\n" for number in range(6)]
    assert lost.asked == [lost.before]


def test_who_hears_late_that_a_node_was_lost_does_not_have_it_revived_again(
    access: NodeAccess, fresh: AsyncServer
) -> None:
    lost = Lost(machine_at(fresh.port, fresh.host_keys))

    def held_up(session: Session) -> str:
        try:
            return session.run("echo two").stdout
        except Unreachable:  # while it goes on to tell so, another one is done
            assert access.on(lost.before, lambda other: other.run("echo one").stdout, lost.revive) == "one\n"
            raise

    assert access.on(lost.before, held_up, lost.revive) == "two\n"
    assert lost.asked == [lost.before]
    assert fresh.connections == 1


def test_work_that_may_have_begun_and_a_stranger_in_the_nodes_place_are_nothing_to_revive(
    access: NodeAccess, fresh: AsyncServer, async_server: AsyncServer
) -> None:
    def revive(found: Machine) -> Machine:
        raise AssertionError("nobody was to ask for this")

    machine = machine_at(fresh.port, fresh.host_keys)

    async def killed(process: Any) -> None:
        process.exit_with_signal("KILL")

    fresh.handler = killed
    with pytest.raises(OutcomeUnknown):
        access.on(machine, lambda session: session.run("true"), revive)
    stranger = replace(machine, token="t2", host_keys=async_server.host_keys)
    with pytest.raises(WrongHostKey):
        access.on(stranger, lambda session: session.run("true"), revive)


def test_a_suspect_is_revived_before_it_is_worked_on_and_stays_suspect_until_that_succeeds(
    access: NodeAccess, fresh: AsyncServer
) -> None:
    machine = machine_at(fresh.port, fresh.host_keys)
    asked: list[Machine] = []

    def fail(found: Machine) -> Machine:
        raise Unreachable("still gone")

    def revive(found: Machine) -> Machine:
        asked.append(found)
        return found

    assert access.present(machine, fail) == machine
    access.suspect(machine)
    with pytest.raises(Unreachable, match="still gone"):
        access.present(machine, fail)
    assert access.present(machine, revive) == machine
    assert access.present(machine, fail) == machine
    assert asked == [machine]


# --- how many connections are open -----------------------------------------------------------------------------------


def test_a_connection_nobody_uses_is_closed_and_one_in_use_is_not(key_path: Path, fresh: AsyncServer) -> None:
    with NodeAccess(key_path, limits=replace(PATIENT, idle=0.3)) as access:
        session = access.session(machine_at(fresh.port, fresh.host_keys))
        assert session.run("sleep 1.2; echo on").stdout == "on\n"
        assert fresh.connections == 1
        wait_for(lambda: access.open_links == 0, "the link is closed")
        assert session.run("echo again").stdout == "again\n"
        assert fresh.connections == 2


def test_those_idle_longest_are_closed_when_there_are_too_many(access: NodeAccess, fresh: AsyncServer) -> None:
    access._open_links._most = 4
    machines = [machine_at(fresh.port, fresh.host_keys, token=f"t{number}") for number in range(8)]
    for machine in machines:
        access.session(machine).run("true")
    assert access.open_links == 4
    access.session(machines[-1]).run("true")
    assert fresh.connections == 8
    access.session(machines[0]).run("true")
    assert fresh.connections == 9
    assert access.open_links == 4


def test_no_more_commands_run_at_once_than_there_is_room_for_and_waiting_for_room_can_be_stopped(
    access: NodeAccess, fresh: AsyncServer
) -> None:
    access._open_links.room = threading.Semaphore(1)
    one, two = (access.session(machine_at(fresh.port, fresh.host_keys, token=token)) for token in "ab")
    busy = threading.Event()
    long = threading.Thread(target=lambda: one.run("echo up; sleep 1", on_line=lambda *_: busy.set()))
    long.start()
    assert busy.wait(60)
    began = time.monotonic()
    assert two.run("echo on").stdout == "on\n"
    assert time.monotonic() - began > 0.3
    long.join()
    with access._open_links.room:
        threading.Timer(0.3, access.stop).start()
        with pytest.raises(CommandStopped):
            two.run("true")


def test_the_room_follows_the_processs_limit_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {256: 28, 1024: 412, 65536: 1024, resource.RLIM_INFINITY: 1024, 64: 8}
    for soft, most in limits.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_links() == most


def test_a_machine_without_an_ssh_server_has_a_session_that_does_not_connect(access: NodeAccess) -> None:
    simulated = replace(machine_at(22, []), addresses={}, reached_by="none")
    session = access.session(simulated)
    with pytest.raises(Unreachable, match="node 1000 is not reached by SSH"):
        session.run("true")
    with pytest.raises(Unreachable, match="node 1000 has no address yet"):
        access.session(replace(simulated, reached_by="ssh"))


def test_connections_share_nothing_that_making_one_changes(key_path: Path, fresh: AsyncServer) -> None:
    from coopr_core.remote.connection import make_connection

    endpoint, key = Endpoint.of(machine_at(fresh.port, fresh.host_keys)), load_key(key_path)
    one, two = (make_connection(endpoint, key, PATIENT) for _ in range(2))
    assert one.config is not two.config
    assert one.connect_kwargs is not two.connect_kwargs
