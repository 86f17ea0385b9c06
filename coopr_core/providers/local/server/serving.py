"""The server: one listener per node, all in one event loop.

Promise: at its start it serves every node there is, and first ends what commands of a killed predecessor left running;
a node that cannot listen says why when asked for. It ends by itself when there is no node left, also when somebody
removed the folders by hand. Costs one listener per node, a file descriptor and a process per command.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from coopr_core.errors import CooprError, NotFound
from coopr_core.process_start import start_stamp
from coopr_core.providers.local import processes
from coopr_core.providers.local.addresses import address_in_use
from coopr_core.providers.local.control import PROTOCOL, SOCKET, socket_path
from coopr_core.providers.local.environment import environment
from coopr_core.providers.local.records import NodeFolders, NodeRecord
from coopr_core.providers.local.server.commands import CommandRunner
from coopr_core.providers.local.server.files import NodeFiles

logger = logging.getLogger(__name__)

_LOOK_AROUND = 2.0
_PORT_PATIENCE = 0.5
_LOGIN_TIMEOUT = 60
_BACKLOG = 256
_KEEPALIVE = 30


@dataclass(eq=False)
class _Served:
    """A node being served."""

    record: NodeRecord
    acceptor: asyncssh.SSHAcceptor
    runner: CommandRunner
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)


class _Connection(asyncssh.SSHServer):
    """Notes which connections a node has, so that they can be closed with it."""

    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note that a client has connected."""
        self._connection = conn
        self._connections.add(conn)
        client = conn.get_extra_info("socket")
        if client is not None:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that a client has gone."""
        if self._connection is not None:
            self._connections.discard(self._connection)


async def _patiently(listen: Callable[[], Awaitable[asyncssh.SSHAcceptor]]) -> asyncssh.SSHAcceptor:
    """Listen; a killed predecessor may hold the port for a moment longer than its lock."""
    deadline = asyncio.get_running_loop().time() + _PORT_PATIENCE
    while True:
        try:
            return await listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.05)


class NodeServer:
    """Serves the nodes of one state folder."""

    def __init__(self, folders: NodeFolders) -> None:
        self._folders = folders
        self._served: dict[str, _Served] = {}
        self._listening = asyncio.Lock()
        self._ended = asyncio.Event()
        self._open_files = resource.getrlimit(resource.RLIMIT_NOFILE)

    def run(self, started: Callable[[], None]) -> None:
        """Serve until there is no node left; ``started`` is called when all nodes listen."""
        asyncio.run(self._run(started))

    async def _run(self, started: Callable[[], None]) -> None:
        soft, hard = self._open_files
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        noted = self._folders.server / "server.json"
        noted.write_text(json.dumps({"pid": os.getpid(), "stamp": start_stamp(os.getpid())}))
        await asyncio.gather(*(self._end_leftovers(record) for record in self._folders.records()))
        for record in self._folders.records():
            with contextlib.suppress(CooprError):
                await self._listen(record.node_id)
        control = await self._open_control()
        logger.info("serving %d nodes as process %d", len(self._served), os.getpid())
        started()
        look_around = asyncio.create_task(self._look_around())
        await self._ended.wait()
        look_around.cancel()
        (self._folders.server / SOCKET).unlink(missing_ok=True)
        control.close()
        for node in list(self._served):
            await self._release(node)
        noted.unlink(missing_ok=True)
        logger.info("the server ends")

    async def _open_control(self) -> asyncio.Server:
        (self._folders.server / SOCKET).unlink(missing_ok=True)
        control = socket.socket(socket.AF_UNIX)
        with socket_path(self._folders.server) as path:
            control.bind(path)
        control.listen(_BACKLOG)
        return await asyncio.start_unix_server(self._answer, sock=control)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of the provider."""
        with contextlib.suppress(OSError, ValueError):
            request = json.loads(await reader.readline())
            try:
                answer = await self._do(request)
            except CooprError as error:
                answer = error.to_json()
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        operation = request.get("operation")
        if operation == "listen":
            await self._listen(request["node"])
        elif operation == "release":
            async with self._listening:
                await self._release(request["node"])
        elif operation == "retire":
            self._end_if_idle()
        elif operation != "status":
            raise NotFound(f"the server of the local nodes knows no operation {operation!r}")
        return {
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "ending": self._ended.is_set(),
        }

    async def _listen(self, node: str) -> None:
        """Serve a node; a node served already stays as it is."""
        async with self._listening:
            record = self._folders.record(node)
            if record is None or self._folders.is_deleting(node):
                raise NotFound(f"there is no local node {node}", hint="It was deleted; create the machine again.")
            served = self._served.get(node)
            if served is not None:
                if served.record == record:
                    return
                await self._release(node)
            self._served[node] = await self._open(record)

    async def _open(self, record: NodeRecord) -> _Served:
        runner = CommandRunner(
            record, self._folders.running(record.node_id), environment(record, os.environ), self._open_files
        )
        connections: set[asyncssh.SSHServerConnection] = set()
        try:
            listen = functools.partial(
                asyncssh.listen,
                record.address,
                record.port,
                server_factory=functools.partial(_Connection, connections),
                server_host_keys=[asyncssh.import_private_key(self._host_key(record))],
                authorized_client_keys=asyncssh.import_authorized_keys(record.authorized_key.strip() + "\n"),
                process_factory=runner.run,
                sftp_factory=functools.partial(NodeFiles, record=record),
                allow_scp=True,
                encoding=None,
                line_editor=False,
                login_timeout=_LOGIN_TIMEOUT,
                backlog=_BACKLOG,
                keepalive_interval=_KEEPALIVE,
                compression_algs=None,
                agent_forwarding=False,
            )
            acceptor = await _patiently(listen)
        except OSError as error:
            logger.warning("node %s cannot listen on %s:%d: %s", record.node_id, record.address, record.port, error)
            if error.errno == errno.EADDRINUSE:
                raise address_in_use(record.address, record.port) from error
            raise CooprError(
                f"cannot listen on {record.address} port {record.port}: {error.strerror}",
                hint="See that the address exists on this machine and the port may be used.",
            ) from error
        except (asyncssh.KeyImportError, ValueError) as error:
            raise CooprError(
                f"a key of local node {record.node_id} cannot be read: {error}",
                hint="Delete the node and create it with a public key in OpenSSH form.",
            ) from error
        logger.info("node %s listens on %s:%d", record.node_id, record.address, record.port)
        return _Served(record, acceptor, runner, connections)

    def _host_key(self, record: NodeRecord) -> bytes:
        return (self._folders.folder(record.node_id) / "host_key").read_bytes()

    async def _release(self, node: str) -> None:
        """Serve a node no more: no listener, no connection, no command."""
        served = self._served.pop(node, None)
        if served is None:
            return
        served.acceptor.close()
        for connection in list(served.connections):
            connection.abort()
        await served.runner.stop()
        logger.info("node %s is no longer served", node)

    async def _end_leftovers(self, record: NodeRecord) -> None:
        """End the commands that were under way when the server before us was killed."""
        with contextlib.suppress(FileNotFoundError, CooprError):
            for note in list(self._folders.running(record.node_id).iterdir()):
                with contextlib.suppress(ValueError, OSError):
                    leader = int(note.name)
                    find = functools.partial(processes.of_session, leader, note.read_text(), record.marks)
                    if find():
                        logger.info("node %s: ending command %d of an earlier server", record.node_id, leader)
                    for pause in processes.ending(find, f"local node {record.host_name}", grace=1.0):
                        await asyncio.sleep(pause)
                note.unlink(missing_ok=True)

    def _end_if_idle(self) -> None:
        if all(self._folders.is_deleting(record.node_id) for record in self._folders.records()):
            self._ended.set()

    async def _look_around(self) -> None:
        """End what belongs to nodes whose folders are gone, and ourselves when none is left."""
        while True:
            await asyncio.sleep(_LOOK_AROUND)
            for node, served in list(self._served.items()):
                if not self._folders.folder(node).exists():
                    logger.warning("the folder of node %s is gone", node)
                    await self._release(node)
                    record = served.record
                    find = functools.partial(processes.of_node, record.marks)
                    with contextlib.suppress(CooprError):
                        for pause in processes.ending(find, f"local node {record.host_name}"):
                            await asyncio.sleep(pause)
            if not self._served:
                self._end_if_idle()
