"""Commands on a local node: started as the nodes' user, their streams carried, their end told.

Promise: output arrives whole and in order however large; the exit status is the command's own, 128+n when signal n
ended it; when the client goes before the command ends, the command's whole session is ended (and is noted on disk until
then, so that a server that comes after a crash can do it). What a command starts with ``setsid``, or leaves behind when
it ends by itself, goes on; if it still has the command's output open, that is closed and said. Costs a fork and a task
per stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from coopr_core.errors import CooprError
from coopr_core.model.node_conventions import LEFT_OPEN
from coopr_core.process_start import start_stamp
from coopr_core.providers.local import processes
from coopr_core.providers.local.environment import login_shell
from coopr_core.providers.local.records import NodeRecord
from coopr_core.providers.local.server.pipes import CHUNK, Sink, Source, open_sink, open_source

logger = logging.getLogger(__name__)

_TAKE_TERMINAL = 'exec <"$0" >"$0" 2>&1; exec "$@"'
_LEFT_OPEN = 3.0
_LOOK = 0.1
_LEFT_OPEN_BYTES = 4 * 1024 * 1024
_ABORT_GRACE = 1.0
_END_OF_INPUT = b"\x04"


class CommandRunner:
    """Runs the commands of one node."""

    def __init__(
        self, record: NodeRecord, running: Path, environment: Mapping[str, str], open_files: tuple[int, int]
    ) -> None:
        self._record = record
        self._running = running
        self._environment = environment
        self._open_files = open_files
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run what a client asked for, to its end or the client's."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if process.subsystem:
                process.stderr.write(f"no subsystem {process.subsystem} on this node\n".encode())
                process.exit(127)
                return
            # A command that is being ended because its client went must not run beside its successor.
            if self._endings:
                await asyncio.wait(self._endings)
            if self._stopped:
                process.close()
                return
            await self._carry(process)
        except (asyncssh.Error, ConnectionError):
            logger.debug("node %s: a client went away", self._record.node_id)
        finally:
            self._tasks.discard(task)

    async def stop(self) -> None:
        """End all commands under way, and take no more."""
        self._stopped = True
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        if self._endings:
            await asyncio.wait(self._endings)

    async def _carry(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            child, streams = await self._start(process)
        except OSError as error:
            logger.warning("node %s: a command cannot be started: %s", self._record.node_id, error)
            process.stderr.write(f"cannot be started: {error}\n".encode())
            process.exit(126)
            return
        note = self._running / str(child.pid)
        feeder = asyncio.create_task(_feed(process, streams.sink, child, streams.terminal))
        carriers = [
            asyncio.create_task(source.carry_to(writer))
            for source, writer in zip(streams.sources, (process.stdout, process.stderr), strict=False)
        ]
        ended = asyncio.create_task(_wait(child))
        gone = asyncio.create_task(process.channel.wait_closed())
        try:
            await asyncio.wait([ended, gone], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await _drain(streams.sources, carriers, gone)
                if streams.terminal is None and not all(carrier.done() for carrier in carriers):
                    _say_who_is_cut_off(process, streams.sources)
                status = ended.result()
                process.exit(status if status >= 0 else 128 - status)
        finally:
            for task in (feeder, gone, *carriers):
                task.cancel()
            streams.close()
            if ended.done():
                note.unlink(missing_ok=True)
            else:
                ending = asyncio.create_task(self._abort(child, ended, note))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)

    async def _start(self, process: asyncssh.SSHServerProcess[bytes]) -> tuple[subprocess.Popen[bytes], _Streams]:
        shell = login_shell()
        command = [shell, "-c", process.command] if process.command else [shell]
        variables = dict(self._environment)
        peer, local = process.get_extra_info("peername"), process.get_extra_info("sockname")
        if peer and local:
            variables["SSH_CONNECTION"] = f"{peer[0]} {peer[1]} {local[0]} {local[1]}"
            variables["SSH_CLIENT"] = f"{peer[0]} {peer[1]} {local[1]}"
        if process.term_type is None:
            ours, theirs = _pipes()
        else:
            ours, theirs = _terminal(process.term_size, self._record)
            variables["TERM"] = process.term_type
            variables["SSH_TTY"] = os.ttyname(theirs[0])
            interactive = [] if process.command or not shell.endswith("bash") else ["-i"]
            command = ["/bin/sh", "-c", _TAKE_TERMINAL, variables["SSH_TTY"], *command, *interactive]
        try:
            child = self._spawn(command, variables, theirs)
        except OSError:
            for descriptor in set(ours):
                os.close(descriptor)
            raise
        finally:
            for descriptor in set(theirs):
                os.close(descriptor)
        return child, await _Streams.over(ours, terminal=process.term_type is not None)

    def _spawn(self, command: list[str], variables: Mapping[str, str], ends: list[int]) -> subprocess.Popen[bytes]:
        home = self._record.home
        with processes.marked(self._record.mark, self._open_files):
            child = subprocess.Popen(
                command,
                stdin=ends[0],
                stdout=ends[1],
                stderr=ends[2],
                cwd=home if os.path.isdir(home) else self._record.root,
                env=variables,
                start_new_session=True,
                umask=0o077,
                **self._record.account.popen_options(),
            )
        with contextlib.suppress(OSError):
            (self._running / str(child.pid)).write_text(start_stamp(child.pid))
        return child

    async def _abort(self, child: subprocess.Popen[bytes], ended: asyncio.Task[int], note: Path) -> None:
        """End a command whose client went: its group at once, then all of its session that is left."""
        _signal(child, signal.SIGHUP)
        stamp = start_stamp(child.pid)

        def members() -> list[psutil.Process]:
            return processes.of_session(child.pid, stamp, self._record.marks)

        try:
            for pause in processes.ending(members, f"local node {self._record.host_name}", _ABORT_GRACE):
                await asyncio.sleep(pause)
            await ended
            note.unlink(missing_ok=True)
        except CooprError as error:
            logger.warning("%s", error.message)


class _Streams:
    """Our ends of a command's streams."""

    def __init__(self, sink: Sink, sources: list[Source], terminal: int | None) -> None:
        self.sink = sink
        self.sources = sources
        self.terminal = terminal

    @classmethod
    async def over(cls, descriptors: list[int], *, terminal: bool) -> _Streams:
        """Return the streams over what ``_pipes`` or ``_terminal`` made."""
        sink = await open_sink(descriptors[0])
        sources = [await open_source(descriptor) for descriptor in descriptors[1:]]
        return cls(sink, sources, descriptors[0] if terminal else None)

    def close(self) -> None:
        """Close our ends."""
        self.sink.close()
        for source in self.sources:
            source.close()


def _pipes() -> tuple[list[int], list[int]]:
    stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
    return [stdin[1], stdout[0], stderr[0]], [stdin[0], stdout[1], stderr[1]]


def _terminal(size: tuple[int, int, int, int], record: NodeRecord) -> tuple[list[int], list[int]]:
    """Return a pseudo-terminal: our end twice (to write and to read), theirs three times."""
    ours, theirs = os.openpty()
    _resize(theirs, size)
    if record.switch:
        os.fchown(theirs, record.uid, -1)
    return [ours, os.dup(ours)], [theirs] * 3


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = size
    with contextlib.suppress(OSError, struct.error):
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


async def _feed(
    process: asyncssh.SSHServerProcess[bytes], sink: Sink, child: subprocess.Popen[Any], terminal: int | None
) -> None:
    """Carry what the client sends to the command: input, signals, the size of its window."""
    while True:
        try:
            data = await process.stdin.read(CHUNK)
        except asyncssh.TerminalSizeChanged as change:
            if terminal is not None:
                _resize(terminal, change.term_size)
        except asyncssh.BreakReceived:
            _signal(child, signal.SIGINT)
        except asyncssh.SignalReceived as received:
            _signal(child, getattr(signal, f"SIG{received.signal}", signal.SIGTERM))
        except (asyncssh.Error, OSError):
            return
        else:
            if not data:
                break
            if not await sink.write(data):
                return
    if terminal is None:
        sink.close()
    else:
        await sink.write(_END_OF_INPUT)


def _signal(child: subprocess.Popen[Any], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


async def _wait(child: subprocess.Popen[bytes]) -> int:
    """Return the status a command ends with, without a thread where the kernel offers it."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ended.done():
            ended.set_result(None)

    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(child.pid)
        loop.add_reader(descriptor, note)
        try:
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    else:

        def wait() -> None:
            child.wait()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(note)

        threading.Thread(target=wait, daemon=True).start()
        await ended
    return child.wait()


def _say_who_is_cut_off(process: asyncssh.SSHServerProcess[bytes], sources: list[Source]) -> None:
    holders = processes.named(processes.holding(source.descriptor for source in sources))
    new_line = b"\n" * (sources[-1].last != b"\n")
    process.stderr.write(new_line + LEFT_OPEN.format(holders or "in the background").encode())


async def _drain(sources: list[Source], carriers: list[asyncio.Task[None]], gone: asyncio.Task[None]) -> None:
    """Carry what an ended command wrote last; a daemon may keep its streams open, so wait only so long for that."""
    before = sum(source.carried for source in sources)
    clock = asyncio.get_running_loop().time
    waited = 0.0
    while waited < _LEFT_OPEN and (open_ones := [carrier for carrier in carriers if not carrier.done()]):
        started = clock()
        await asyncio.wait([*open_ones, gone], timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
        if not any(source.held_up for source in sources):
            waited += clock() - started
        if gone.done() or sum(source.carried for source in sources) - before > _LEFT_OPEN_BYTES:
            return
