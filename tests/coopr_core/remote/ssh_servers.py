"""Real SSH servers for tests (asyncssh in this process, OpenSSH where installed) and a network that can be broken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
from free_ports import free_port
from watching import wait_for

from coopr_core.providers.contract import Machine
from coopr_core.remote.endpoint import Limits

PATIENT = Limits(connect=60, handshake=60, authentication=60, channel=60, keepalive=1, stalled=60)
"""For tests of anything else than the time a step may take: a machine that is busy stalls for seconds."""


def machine_at(port: int, host_keys: list[str], root: str = "/", token: str = "t1", user: str = "me") -> Machine:
    return Machine(
        token=token,
        provider_id="p",
        cluster_id="00000001",
        node=1000,
        addresses={"access_v4": "127.0.0.1", "bind_v4": "127.0.0.1"},
        port=port,
        ssh_user=user,
        host_keys=host_keys,
        root=root,
    )


class AsyncServer:
    """An asyncssh server on a thread of its own. ``handler`` changes what it does with a command.

    ``shell`` is the login shell that commands are handed to, ``home`` where it looks for its own files.
    """

    def __init__(
        self,
        authorized_key: str,
        *,
        host_key_types: tuple[str, ...] = ("ssh-ed25519",),
        env_path: str = "",
        shell: str = "sh",
        home: str = "",
        address: str = "127.0.0.1",
        port: int = 0,
    ):
        self.address = address
        self.port = port
        self.connections = 0
        self.keys = [asyncssh.generate_private_key(kind) for kind in host_key_types]
        self.host_keys = [" ".join(key.export_public_key().decode().split()[:2]) for key in self.keys]
        self.handler: Callable[[Any], Coroutine[Any, Any, None]] | None = None
        self.path = env_path
        self.shell = shell
        self.home = home
        self._authorized = asyncssh.import_authorized_keys(authorized_key)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._groups: set[int] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._started.wait(60)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._started.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        owner = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: Any) -> None:
                owner.connections += 1

            def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
                return True  # as a gateway to other servers

        self._server = await asyncssh.create_server(
            Server,
            self.address,
            self.port,
            server_host_keys=self.keys,
            authorized_client_keys=self._authorized,
            process_factory=self._process,
            encoding=None,
            backlog=4096,  # of all the nodes that this server may stand for at once
        )
        self.port = self._server.get_port()

    async def _process(self, process: Any) -> None:
        if self.handler is not None:
            await self.handler(process)
            return
        env = dict(os.environ)
        if self.path:
            env["PATH"] = f"{self.path}:{env['PATH']}"
        if self.home:
            env["HOME"] = self.home
        child = await asyncio.create_subprocess_exec(
            self.shell, "-c", process.command, stdin=-1, stdout=-1, stderr=-1, start_new_session=True, env=env
        )
        self._groups.add(child.pid)

        async def pump(reader: Any, writer: Any) -> None:
            with contextlib.suppress(OSError, asyncssh.Error):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()

        async def feed() -> None:
            await pump(process.stdin, child.stdin)
            child.stdin.close()

        feeding = asyncio.create_task(feed())
        try:
            pumps = asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
            while child.returncode is None:  # wait() would wait for a daemon that holds the pipes, too
                await asyncio.sleep(0.002)
            status = child.returncode
            with contextlib.suppress(TimeoutError):  # a daemon may hold the pipes
                await asyncio.wait_for(pumps, 2)
            process.exit(status if status >= 0 else 128 - status)
        finally:
            feeding.cancel()
            self._groups.discard(child.pid)

    def stop(self) -> None:
        for group in list(self._groups):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._loop.call_soon_threadsafe(self._server.close)
        time.sleep(0.05)  # the children's ends are noticed
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class OpenSshServer:
    """``sshd`` in the foreground, without root's rights needed."""

    def __init__(self, folder: Path, authorized_key: str):
        self.port = free_port()
        folder.mkdir(parents=True)
        host_key = folder / "host"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
        self.host_keys = [" ".join(host_key.with_suffix(".pub").read_text().split()[:2])]
        (folder / "authorized").write_text(authorized_key + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        config = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {host_key}",
            f"AuthorizedKeysFile {folder}/authorized",
            f"PidFile {folder}/pid",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin yes",
            "MaxStartups 200",
            f"SetEnv HOME={folder}",  # whatever this user's login files do is not our subject
        ]
        (folder / "config").write_text("\n".join(config) + "\n")
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ["PATH"]), "-D", "-e", "-f", folder / "config"],
            stderr=self._log,
        )
        wait_for(lambda: _listening(self.port), "sshd listens")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._log.close()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class FaultyNetwork:
    """A TCP proxy before a server: passes everything on until it is told to reset, or to swallow, all of it."""

    def __init__(self, target: int):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._swallow = threading.Event()
        self._refuse = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refuse.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._pairs.append((client, server))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._swallow.is_set():
                    sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break every connection; new ones are welcome."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def swallow(self, on: bool = True) -> None:
        """Take everything and pass nothing on, as a node that hangs."""
        if on:
            self._swallow.set()
        else:
            self._swallow.clear()

    def refuse(self) -> None:
        """Close new connections at once."""
        self._refuse.set()

    def stop(self) -> None:
        self._listener.close()
        self.reset()


class _GoneSocket:
    """A connection that is gone, in the moment before reading from it says so."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real

    def send(self, data: bytes) -> int:
        raise BrokenPipeError

    def recv(self, size: int) -> bytes:
        time.sleep(0.05)
        raise TimeoutError

    def close(self) -> None:
        self._real.close()


def lose_unnoticed(transport: paramiko.Transport) -> None:
    """Have a connection be gone of which the library has not noticed it, a moment that no test could hit otherwise."""
    transport.packetizer._Packetizer__socket = _GoneSocket(transport.sock)  # type: ignore[attr-defined]


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.stop()
