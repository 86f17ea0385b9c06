"""How the provider talks to the server of its nodes: one line of JSON each way over a Unix socket.

Promise: a request is answered or fails in bounded time; a missing server is started, one that hangs is replaced, two
are never started at once. Errors travel back as errors. Costs a fraction of a millisecond; a start about half a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

import coopr_core
from coopr_core.errors import CooprError
from coopr_core.folders import private
from coopr_core.process_start import start_stamp
from coopr_core.providers.local.addresses import AddressInUse
from coopr_core.providers.local.environment import handed_through
from coopr_core.providers.local.processes import MARK_VARIABLE
from coopr_core.providers.local.records import NodeFolders, is_locked

PROTOCOL = 1
"""Changes when old servers and new clients no longer understand each other."""

SOCKET = "control.sock"
READY = "ready"
"""What a server that has come up writes to its standard output."""

_LONGEST_SOCKET_PATH = 100
_ANSWER_TIMEOUT = 30.0
_SIGN_OF_LIFE_TIMEOUT = 10.0
_START_TIMEOUT = 60.0
_END_TIMEOUT = 15.0


class ServerGone(Exception):
    """No server answers on the socket."""


@contextlib.contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """Return a path of the control socket that fits into a socket address, through a short link where need be."""
    path = folder / SOCKET
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="coopr-", dir=_short_temporary_folder()) as short:
        link = Path(short) / "l"
        link.symlink_to(folder)
        yield str(link / SOCKET)


class ServerControl:
    """The server of one state folder, seen from outside."""

    def __init__(self, folders: NodeFolders) -> None:
        self._folders = folders

    def request(self, operation: str, *, timeout: float = _ANSWER_TIMEOUT, **values: Any) -> dict[str, Any]:
        """Ask the server; raises ``ServerGone`` when none answers, or the error it answers with."""
        try:
            with socket_path(self._folders.server) as path, socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(path)
                connection.sendall(json.dumps({"operation": operation, **values}).encode() + b"\n")
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        except TimeoutError:
            raise ServerGone("it does not answer in time") from None
        except OSError as error:
            raise ServerGone(error.strerror or str(error)) from error
        if not line.endswith(b"\n"):
            raise ServerGone("it ended while answering")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = AddressInUse if answer["error"] == AddressInUse.code else CooprError
            raise kind(answer["message"], hint=answer["hint"])
        return answer

    def serve(self, node: str) -> None:
        """Have the node served, starting the server when need be; raises ``AddressInUse`` and the like."""
        for attempt in range(5):
            self.ensure()
            try:
                self.request("listen", node=node)
                return
            except ServerGone:
                time.sleep(0.05 * 2**attempt)
        raise self._failure("it ends as soon as it is started")

    def ensure(self) -> None:
        """Have a server that answers and understands us."""
        if self._understands():
            return
        with self._folders.lock("start"):
            if self._understands():
                return
            self._end_hung()
            self._start()

    def release(self, node: str) -> None:
        """Have the node no longer served; without a server it is not."""
        with contextlib.suppress(ServerGone):
            self.request("release", node=node)

    def retire(self) -> None:
        """Let the server end if it has no node left, and wait up to 15 s until its process has, whoever had it end."""
        deadline = time.monotonic() + _END_TIMEOUT
        while is_locked(self._folders.server_lock) and time.monotonic() < deadline:
            with contextlib.suppress(ServerGone):  # it is ending, or not up yet
                if not self.request("retire")["ending"]:
                    return
            time.sleep(0.02)

    def _understands(self) -> bool:
        try:
            status = self.request("status", timeout=_SIGN_OF_LIFE_TIMEOUT)
        except ServerGone:
            return False
        return status["protocol"] == PROTOCOL and not status["ending"]

    def _end_hung(self) -> None:
        """End a server that does not answer, or speaks another protocol, by what it noted about itself."""
        try:
            noted = json.loads((self._folders.server / "server.json").read_text())
        except (OSError, ValueError):
            return
        process = _process(noted["pid"], noted["stamp"])
        if process is None:
            return
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
            if not _wait_until_gone(noted["pid"], noted["stamp"], 3):
                process.kill()
                _wait_until_gone(noted["pid"], noted["stamp"], 5)

    def _start(self) -> None:
        """Start a server that outlives us, and wait until it serves the nodes there are."""
        with open(self._folders.log, "ab", opener=private) as log:
            os.chmod(self._folders.log, 0o600)
            starter = subprocess.Popen(
                [sys.executable, "-m", "coopr_core.providers.local.server", str(self._folders.state_dir)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=_server_environment(),
                start_new_session=True,
            )
        try:
            said = starter.communicate(timeout=_START_TIMEOUT)[0].decode(errors="replace").strip()
        except subprocess.TimeoutExpired:
            raise self._failure(f"it is not up after {_START_TIMEOUT:.0f} s") from None
        if said != READY:
            raise self._failure(said or "it ended at once")

    def _failure(self, reason: str) -> CooprError:
        return CooprError(f"the server of the local nodes does not start: {reason}", hint=f"See {self._folders.log}.")


def _server_environment() -> dict[str, str]:
    """Return what the server needs of our environment; it lives long, so nothing secret that happens to be there."""
    source = str(Path(coopr_core.__path__[0]).parent)
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH", MARK_VARIABLE)
    return {
        **handed_through(os.environ),
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH", "")) if part),
    }


def _process(pid: int, stamp: str) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE and start_stamp(pid) == stamp
    except psutil.Error:
        return None
    return process if alive else None


def _wait_until_gone(pid: int, stamp: str, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while _process(pid, stamp) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _short_temporary_folder() -> str | None:
    usual = tempfile.gettempdir()
    return usual if len(usual) < 60 or not os.access("/tmp", os.W_OK) else "/tmp"
