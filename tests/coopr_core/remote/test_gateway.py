"""Nodes that are only reached through a gateway, on real servers: one connection to it, everything else as ever."""

from __future__ import annotations

import getpass
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from free_ports import free_port
from ssh_servers import PATIENT, AsyncServer, FaultyNetwork, lose_unnoticed, machine_at, running
from watching import wait_for

from coopr_core.errors import Unreachable, WrongHostKey
from coopr_core.providers.contract import Gateway, Machine
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.command import ConnectionLost
from coopr_core.remote.keys import ensure_client_key

pytestmark = pytest.mark.both


@pytest.fixture(scope="module")
def node(key_path: Path) -> Iterator[AsyncServer]:
    """The server that stands behind the gateway, which is ``server``."""
    with running(AsyncServer(ensure_client_key(key_path))) as made:
        yield made


@pytest.fixture
def gateway(server: Any, network: FaultyNetwork) -> Gateway:
    """The gateway, through a network that can be broken and that counts connections."""
    return Gateway("127.0.0.1", network.port, getpass.getuser(), server.host_keys)


def behind(gateway: Gateway, server: AsyncServer, **changes: Any) -> Machine:
    return replace(machine_at(server.port, server.host_keys), gateway=gateway, **changes)


def test_everything_a_session_does_works_through_a_gateway(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, tmp_path: Path
) -> None:
    session = access.session(behind(gateway, node))
    assert session.run("echo hello; exit 3").exit_status == 3
    content = os.urandom(1_000_000)
    session.put(content, f"{tmp_path}/file", 0o600)
    assert session.get(f"{tmp_path}/file") == content


def test_all_nodes_behind_a_gateway_share_one_connection_to_it(
    access: NodeAccess, gateway: Gateway, network: FaultyNetwork, node: AsyncServer
) -> None:
    before = node.connections
    machines = [behind(gateway, node, token=f"t{number}", node=number) for number in range(12)]
    said = access.each(machines, lambda machine: access.session(machine).run(f"echo {machine.node}").stdout)
    assert said == [f"{number}\n" for number in range(12)]
    assert len(network._pairs) == 1
    assert node.connections - before == 12
    assert access.open_links == 13
    access.close()
    assert access.open_links == 0


def test_the_gateways_host_key_is_pinned_too(access: NodeAccess, gateway: Gateway, node: AsyncServer) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for pins in ([" ".join(key.split()[:2])], []):
        with pytest.raises(WrongHostKey, match=f"gateway 127.0.0.1:{gateway.port}"):
            access.session(behind(replace(gateway, host_keys=pins), node)).run("true")


def test_the_nodes_host_key_is_pinned_behind_a_gateway(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, server: Any
) -> None:
    with pytest.raises(WrongHostKey, match=r"node 1000 .* is not the machine"):
        access.session(behind(gateway, node, host_keys=server.host_keys)).run("true")


def test_who_does_not_answer_is_named(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, network: FaultyNetwork
) -> None:
    with pytest.raises(Unreachable, match=r"node 1000 .* cannot be connected to from its gateway"):
        access.session(behind(gateway, node, port=free_port())).run("true")
    assert access.session(behind(gateway, node)).run("echo on").stdout == "on\n"
    with pytest.raises(Unreachable, match=r"gateway 127\.0\.0\.1:\d+ cannot be connected to"):
        access.session(behind(replace(gateway, port=free_port()), node)).run("true")


def test_a_lost_gateway_is_connected_to_again(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, network: FaultyNetwork
) -> None:
    session = access.session(behind(gateway, node))
    assert session.run("echo one").stdout == "one\n"
    network.reset()
    assert session.run("echo two").stdout == "two\n"
    with pytest.raises(ConnectionLost):
        session.run("echo up; sleep 60", on_line=lambda *_: network.reset())
    assert session.run("echo three").stdout == "three\n"


def test_a_gateway_is_connected_to_again_also_before_the_library_notices_that_it_is_lost(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, network: FaultyNetwork
) -> None:
    assert access.session(behind(gateway, node, token="a")).run("echo one").stdout == "one\n"
    (link,) = access._gateways.values()
    assert link._connection is not None
    lose_unnoticed(link._connection.transport)
    assert access.session(behind(gateway, node, token="b")).run("echo two").stdout == "two\n"
    assert access.session(behind(gateway, node, token="a")).run("echo three").stdout == "three\n"


def test_a_gateway_that_is_lost_at_once_again_is_named(
    access: NodeAccess, gateway: Gateway, node: AsyncServer, network: FaultyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    connect = paramiko.SSHClient.connect

    def connect_and_lose(client: paramiko.SSHClient, *given: Any, **options: Any) -> None:
        connect(client, *given, **options)
        opened.append(client)
        lose_unnoticed(client.get_transport())

    monkeypatch.setattr(paramiko.SSHClient, "connect", connect_and_lose)
    with pytest.raises(Unreachable, match=rf"gateway 127\.0\.0\.1:{network.port}, behind which is 127\.0\.0\.1"):
        access.session(behind(gateway, node)).run("true")
    assert len(opened) == 2, "it is connected to again once"


def test_a_gateway_that_hangs_is_waited_for_in_bounded_time(
    key_path: Path, gateway: Gateway, node: AsyncServer, network: FaultyNetwork
) -> None:
    with NodeAccess(key_path, limits=replace(PATIENT, connect=2, channel=2)) as access:
        access.session(behind(gateway, node, token="a")).connect()
        network.swallow()
        began = time.monotonic()
        with pytest.raises(Unreachable):
            access.session(behind(gateway, node, token="b")).run("true")
        assert time.monotonic() - began < 40


def test_a_gateway_stays_open_as_long_as_somebody_behind_it_does(
    key_path: Path, gateway: Gateway, node: AsyncServer, network: FaultyNetwork
) -> None:
    with NodeAccess(key_path, limits=replace(PATIENT, idle=0.4)) as access:
        session = access.session(behind(gateway, node))
        assert session.run("sleep 1.5; echo on").stdout == "on\n"
        assert len(network._pairs) == 1
        wait_for(lambda: access.open_links == 0, "node and gateway are left")
        assert session.run("echo again").stdout == "again\n"


def test_a_machine_behind_a_gateway_is_waited_for_until_it_lets_us_in(
    key_path: Path, access: NodeAccess, gateway: Gateway, node: AsyncServer
) -> None:
    port = free_port()
    servers: list[AsyncServer] = []
    late = behind(gateway, node, port=port)

    def start() -> None:
        servers.append(AsyncServer(ensure_client_key(key_path), port=port))

    with pytest.raises(Unreachable, match="cannot be connected to from its gateway"):
        access.wait_behind_gateway(late, 0.7)
    threading.Timer(1, start).start()
    began = time.monotonic()
    try:
        with pytest.raises(WrongHostKey):  # it answers in the end, but is not the machine
            access.wait_behind_gateway(late, 6)
        assert time.monotonic() - began > 2
        there = replace(late, host_keys=servers[0].host_keys)
        access.suspect(there)
        assert access.present(there, lambda machine: machine) == there
        assert access.session(there).run("echo on").stdout == "on\n"
    finally:
        servers[0].stop()


def test_a_machine_keeps_its_gateway_on_record(gateway: Gateway, node: AsyncServer) -> None:
    machine = behind(gateway, node)
    assert Machine.from_json(machine.to_json()) == machine
    plain = replace(machine, gateway=None).to_json()
    assert "gateway" not in plain
    assert Machine.from_json(plain).gateway is None
