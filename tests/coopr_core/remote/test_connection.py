"""Every way a connection can be wrong, on real servers and a network that breaks."""

from __future__ import annotations

import getpass
import logging
import os
import socket
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
from watching import alive, wait_for

from coopr_core.errors import InvalidInput, NotFound, OutcomeUnknown, Unreachable, WrongHostKey
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.command import CommandStopped, CommandTimedOut, ConnectionLost
from coopr_core.remote.endpoint import Endpoint
from coopr_core.remote.keys import ensure_client_key, load_key
from coopr_core.remote.session import Session

pytestmark = pytest.mark.both

one_kind = pytest.mark.parametrize("server", ["asyncssh"], indirect=True)
"""For what the network does, whoever the server is."""


def machine(server: Any, **changes: Any) -> Any:
    return replace(machine_at(server.port, server.host_keys, user=getpass.getuser()), **changes)


# --- what is set on every connection ---------------------------------------------------------------------------------


def test_small_packets_are_not_held_back_and_dead_peers_are_noticed(server: Any, key_path: Path) -> None:
    from coopr_core.remote.connection import make_connection, open_connection

    endpoint = Endpoint.of(machine(server))
    connection = make_connection(endpoint, load_key(key_path), PATIENT)
    open_connection(connection, endpoint, PATIENT)
    try:
        sock = connection.transport.sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    finally:
        connection.close()


def test_the_users_own_ssh_files_and_agent_change_nothing(
    server: Any, key_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host *\n  User nobody\n  ProxyCommand false\n  Port 1\n  ConnectTimeout 1\n")
    ensure_client_key(folder / "id_ed25519")
    known = f"[127.0.0.1]:{server.port} {server.host_keys[0]}\n"
    (folder / "known_hosts").write_text(known)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with NodeAccess(key_path, limits=PATIENT) as pool:
        assert pool.session(machine(server)).run("echo ok").stdout == "ok\n"
        with pytest.raises(WrongHostKey):
            pool.session(machine(server, token="unpinned", host_keys=())).run("true")
    ensure_client_key(tmp_path / "stranger")
    (folder / "id_ed25519").write_bytes(key_path.read_bytes())
    with (
        NodeAccess(tmp_path / "stranger", limits=PATIENT) as pool,
        pytest.raises(Unreachable, match="does not let us in"),
    ):
        pool.session(machine(server)).run("true")


# --- host keys -------------------------------------------------------------------------------------------------------


def test_a_machine_with_another_host_key_is_refused_with_both_fingerprints(server: Any, access: NodeAccess) -> None:
    wrong = other_ed25519()
    with pytest.raises(
        WrongHostKey, match=r"node 1000 \(127.0.0.1:\d+\) is not the machine .* SHA256:.* SHA256:"
    ) as caught:
        access.session(machine(server, host_keys=[wrong])).run("true")
    assert caught.value.exit_code == 4
    assert caught.value.code == "wrong-host-key"


def other_ed25519() -> str:
    return " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])


def test_a_machine_without_a_pinned_key_is_refused(async_server: AsyncServer, access: NodeAccess) -> None:
    with pytest.raises(WrongHostKey, match="no host key is known for node 1000"):
        access.session(machine(async_server, host_keys=())).run("true")


def test_a_pin_of_a_type_the_server_has_not_is_refused(server: Any, access: NodeAccess) -> None:
    pin = paramiko.ECDSAKey.generate()
    with pytest.raises(WrongHostKey):
        access.session(machine(server, host_keys=[f"{pin.get_name()} {pin.get_base64()}"])).run("true")


def test_a_pin_that_cannot_be_read_is_invalid_input(async_server: AsyncServer, access: NodeAccess) -> None:
    for text in ("rubbish", "ssh-ed25519 !!!", "ssh-new AAAA", "ssh-ed25519 AAAA"):
        with pytest.raises(InvalidInput, match="host key"):
            access.session(machine(async_server, token=text, host_keys=[text])).run("true")


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_pin_of_any_of_the_servers_keys_is_enough(key_path: Path, access: NodeAccess, kind: str) -> None:
    kinds = ("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519")
    with running(AsyncServer(ensure_client_key(key_path), host_key_types=kinds)) as server:
        pin = next(key for key in server.host_keys if key.startswith(kind))
        assert access.session(machine(server, host_keys=[f"{pin} a comment"])).run("echo ok").stdout == "ok\n"


# --- servers that are not there, or not right ------------------------------------------------------------------------


def test_a_closed_port_is_unreachable(access: NodeAccess, async_server: AsyncServer) -> None:
    with pytest.raises(Unreachable, match=r"node 1000 \(127.0.0.1:\d+\) cannot be connected to: .*refused"):
        access.session(machine(async_server, port=free_port())).run("true")


def test_a_machine_without_an_address_is_unreachable(access: NodeAccess, async_server: AsyncServer) -> None:
    with pytest.raises(Unreachable, match="node 1000 has no address yet"):
        access.session(machine(async_server, addresses={})).run("true")


def test_a_name_that_does_not_resolve_is_unreachable(access: NodeAccess, async_server: AsyncServer) -> None:
    with pytest.raises(Unreachable, match="cannot be connected to"):
        access.session(machine(async_server, addresses={"access_v4": "no-such-host.invalid"})).run("true")


@pytest.fixture
def odd_server() -> Iterator[Any]:
    """A TCP server that does with each connection what the test says."""

    class Odd:
        behave = staticmethod(lambda sock: None)

        def __init__(self) -> None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.kept: list[socket.socket] = []
            threading.Thread(target=self.accept, daemon=True).start()

        def accept(self) -> None:
            while True:
                try:
                    sock, _ = self.listener.accept()
                except OSError:
                    return
                self.kept.append(sock)
                self.behave(sock)

    odd = Odd()
    yield odd
    odd.listener.close()
    for sock in odd.kept:
        sock.close()


@pytest.mark.parametrize(
    "behave",
    [
        lambda sock: None,
        lambda sock: sock.close(),
        lambda sock: sock.sendall(b"220 mail ESMTP\r\n" * 200),
        lambda sock: sock.sendall(b"SSH-2.0-mute\r\n"),
        lambda sock: (sock.sendall(b"SSH-2.0-short\r\n"), sock.close()),
    ],
    ids=["silent", "closing", "mail", "mute", "short"],
)
def test_what_is_no_ssh_server_is_unreachable_in_bounded_time(
    odd_server: Any, hasty: NodeAccess, async_server: AsyncServer, behave: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd_server.behave = behave
    others = {thread.ident for thread in threading.enumerate() if thread is not threading.current_thread()}
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG), pytest.raises(Unreachable, match="node 1000"):
        hasty.session(machine(async_server, port=odd_server.port)).run("true")
    assert time.monotonic() - began < 20
    said = [record for record in caplog.records if record.thread not in others]
    assert [record for record in said if record.levelno >= logging.WARNING] == []


def test_a_key_that_is_not_let_in_says_whose_and_which(server: Any, tmp_path: Path) -> None:
    ensure_client_key(tmp_path / "other")
    with (
        NodeAccess(tmp_path / "other", limits=PATIENT) as pool,
        pytest.raises(Unreachable, match="does not let us in") as caught,
    ):
        pool.session(machine(server)).run("true")
    assert "authorized_keys" in caught.value.hint


def test_a_client_key_that_is_missing_is_named(server: Any, tmp_path: Path) -> None:
    with NodeAccess(tmp_path / "none", limits=PATIENT) as pool, pytest.raises(NotFound, match="none does not exist"):
        pool.session(machine(server)).run("true")


# --- a network that breaks -------------------------------------------------------------------------------------------


def test_a_connection_lost_during_a_command_is_an_unknown_outcome(
    shaky: Session, network: FaultyNetwork, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionLost, match=r"lost the connection to node 1000 .* not known") as caught:
        shaky.run(f"echo $$ > {tmp_path}/pid; echo begun; exec sleep 60", on_line=lambda *_: network.reset())
    assert isinstance(caught.value, OutcomeUnknown)
    assert caught.value.tail == ("begun",)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), "the command ends")


def test_the_next_command_connects_again(shaky: Session, network: FaultyNetwork) -> None:
    assert shaky.run("echo one").stdout == "one\n"
    network.reset()
    assert shaky.run("echo two").stdout == "two\n"
    network.reset()
    assert shaky.run("echo three").stdout == "three\n"


def test_the_next_command_connects_again_also_before_the_library_notices_the_loss(
    access: NodeAccess, async_server: AsyncServer
) -> None:
    session = access.session(machine(async_server))
    assert session.run("echo one").stdout == "one\n"
    connection = session._link._connection
    assert connection is not None
    lose_unnoticed(connection.transport)
    assert session.run("echo two").stdout == "two\n"


@one_kind
def test_no_command_is_ever_done_twice_when_the_connection_breaks_at_any_moment(
    shaky: Session, network: FaultyNetwork, tmp_path: Path
) -> None:
    done: list[int] = []
    (tmp_path / "log").touch()
    for number in range(8):
        shaky.run("true")
        breaking = threading.Timer(0.004 * number, network.reset)
        breaking.start()
        try:
            shaky.run(f"echo {number} >> {tmp_path}/log")
            done.append(number)
        except Unreachable:
            time.sleep(0.05)
        breaking.join()
    seen = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert len(seen) == len(set(seen))
    assert set(done) <= set(seen)
    assert done


@one_kind
def test_a_node_that_hangs_opens_no_channel_and_that_takes_bounded_time(
    key_path: Path, server: Any, network: FaultyNetwork
) -> None:
    with NodeAccess(key_path, limits=replace(PATIENT, channel=1.5)) as access:
        session = access.session(machine(server, port=network.port))
        session.connect()
        network.swallow()
        began = time.monotonic()
        with pytest.raises(Unreachable, match="opens no channel"):
            session.run("true")
        assert time.monotonic() - began < 20


@one_kind
def test_a_node_that_hangs_during_a_command_runs_out_of_time(shaky: Session, network: FaultyNetwork) -> None:
    shaky.connect()
    began = time.monotonic()
    with pytest.raises(CommandTimedOut) as caught:
        shaky.run("echo up; sleep 600", timeout=5, on_line=lambda *_: network.swallow())
    assert caught.value.tail == ("up",)
    assert time.monotonic() - began < 60


@one_kind
def test_a_node_that_hangs_during_a_put_is_given_up(
    key_path: Path, server: Any, network: FaultyNetwork, tmp_path: Path
) -> None:
    def content() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        network.swallow()
        yield from (b"x" * 1_000_000 for _ in range(20))

    with NodeAccess(key_path, limits=replace(PATIENT, stalled=5)) as access:
        link = access.session(machine(server, port=network.port))._link
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="took nothing more"):
            link.execute(f"cat > {tmp_path}/x", lambda *_: None, content=content(), end=True)
        assert time.monotonic() - began < 60


@one_kind
def test_a_put_can_be_stopped_while_the_node_hangs(shaky: Session, network: FaultyNetwork, tmp_path: Path) -> None:
    stopped_at = 0.0

    def content() -> Iterator[bytes]:
        nonlocal stopped_at
        network.swallow()
        threading.Timer(0.5, shaky.stop).start()
        stopped_at = time.monotonic() + 0.5
        yield from (b"x" * 1_000_000 for _ in range(20))

    with pytest.raises(CommandStopped):
        shaky._link.execute(f"cat > {tmp_path}/x", lambda *_: None, content=content(), end=True)
    assert time.monotonic() - stopped_at < 20


@one_kind
def test_a_file_cut_short_by_a_lost_connection_does_not_appear(
    shaky: Session, network: FaultyNetwork, tmp_path: Path
) -> None:
    link = shaky._link
    (tmp_path / "x").write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield b"x" * 500_000
        time.sleep(0.2)
        network.reset()
        yield b"x" * 500_000

    original = link.execute

    def cut(command: str, receive: Any, **kwargs: Any) -> int:
        kwargs["content"] = pieces()
        return original(command, receive, **kwargs)

    link.execute = cut  # type: ignore[method-assign]  # a put whose source breaks the network half way
    with pytest.raises(ConnectionLost):
        shaky.put(b"x" * 1_000_000, f"{tmp_path}/x")
    wait_for(lambda: [path.name for path in tmp_path.iterdir()] == ["x"], "only the file itself is left")
    assert (tmp_path / "x").read_bytes() == b"before"


def test_a_server_that_never_says_whether_a_command_began_is_not_waited_for(key_path: Path) -> None:
    class Server(paramiko.ServerInterface):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            return paramiko.AUTH_SUCCESSFUL

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.OPEN_SUCCEEDED

        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            over.wait(60)
            return True

    over = threading.Event()
    host_key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    servers: list[paramiko.Transport] = []

    def serve() -> None:
        sock, _ = listener.accept()
        transport = paramiko.Transport(sock)
        transport.add_server_key(host_key)
        servers.append(transport)
        transport.start_server(server=Server())

    threading.Thread(target=serve, daemon=True).start()
    pin = f"{host_key.get_name()} {host_key.get_base64()}"
    began = time.monotonic()
    with (
        NodeAccess(key_path, limits=replace(PATIENT, channel=2)) as access,
        pytest.raises(OutcomeUnknown, match="does not say whether a command began"),
    ):
        access.session(machine_at(listener.getsockname()[1], [pin])).run("true")
    assert time.monotonic() - began < 40
    over.set()
    listener.close()
    servers[0].close()


def test_a_command_that_loses_its_shell_is_an_unknown_outcome(async_server: AsyncServer, access: NodeAccess) -> None:
    async def killed(process: Any) -> None:
        process.exit_with_signal("KILL")

    async_server.handler = killed
    try:
        with pytest.raises(OutcomeUnknown, match="ended without an exit status"):
            access.session(machine(async_server)).run("true")
    finally:
        async_server.handler = None


def test_no_process_or_file_descriptor_is_left_behind(server: Any, key_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with NodeAccess(key_path, limits=PATIENT) as pool:
        session = pool.session(machine(server))
        session.run("true")
        before = descriptors()
        for _ in range(20):
            session.run("echo x")
        wait_for(lambda: descriptors() <= before + 2, "what the commands opened is closed")
