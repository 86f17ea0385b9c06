"""The process of the Prefect server that we start: spawned apart from us, recorded, found again, ended cleanly.

Promise: a record is believed only when its process still lives and started when it says; a port only when that very
process listens on it, since another user's server may answer there just as well. Nothing here imports Prefect.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from coopr_core.errors import CooprError, TimedOut

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"
FIRST_PORT = 4200
LOG_LIMIT = 10_000_000
"""Bytes after which the server's log is put aside when the server starts again."""

TUNED = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_COLORS": "false",
}
"""What makes the server record a thousand task runs in two seconds instead of thirty; the user's environment wins."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What ``server.json`` keeps: the process and when it started, so that a reused id is told apart."""

    pid: int
    created: float
    port: int

    @property
    def api_url(self) -> str:
        """Where its API answers."""
        return f"http://{HOST}:{self.port}/api"


def answer_of(url: str, timeout: float) -> int:
    """The status of an answer to GET; OSError when there is none."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    opener = urllib.request.build_opener() if HOST not in url else urllib.request.build_opener(_NO_PROXY)
    try:
        with opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


_NO_PROXY = urllib.request.ProxyHandler({})


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """One command at a time starts or stops the server; the lock goes with the process that holds it."""
    try:
        (home / "prefect").mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(home / "prefect" / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CooprError(
            f"cannot write to the state directory {home}: {error.strerror}",
            hint="set COOPR_STATE_DIR to a directory of your own",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def running(home: Path) -> ServerRecord | None:
    """The server we started, if its process lives."""
    try:
        record = ServerRecord(**json.loads((home / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if process_of(record) is not None else None


def process_of(record: ServerRecord) -> psutil.Process | None:
    """The very process the record is about, if it lives."""
    import psutil

    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) < 1
    except psutil.Error:
        return None
    return process if same and _lives(process) else None


def start(home: Path, timeout: float) -> ServerRecord:
    """Start the server on the first port nobody else has or takes meanwhile."""
    import psutil

    log = _log_file(home)
    deadline = time.monotonic() + timeout
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        if not _is_free(port):
            continue
        with log.open("ab") as output:
            before = output.tell()
            child = _spawn(home, port, output)
        try:
            record = ServerRecord(child.pid, psutil.Process(child.pid).create_time(), port)
        except psutil.Error:
            continue
        try:
            if _comes_up(child, record, deadline):
                _write(home / "server.json", record)
                return record
        except BaseException:
            _end_child(child)
            raise
        if not _port_was_taken(log, before):
            raise CooprError(
                f"the Prefect server ended while starting (exit status {child.returncode}): {_last_error(log)}",
                hint=f"its log is {log}",
            )
        os.truncate(log, before)  # another server took the port meanwhile: what this one said is no error of ours
    raise CooprError(
        f"no free port for the Prefect server from {FIRST_PORT} on", hint="set PREFECT_API_URL to a server"
    )


def _log_file(home: Path) -> Path:
    (home / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
    log = home / "logs" / "prefect-server.log"
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    return log


def _port_was_taken(log: Path, begin: int) -> bool:
    """Whether the server ended because another had the port, which may be free again by now."""
    with log.open("rb") as file:
        file.seek(begin)
        return b"already in use" in file.read()


def _last_error(log: Path) -> str:
    """What the log says went wrong: its last line that names an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").split("\n") if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return next(iter([*errors[-1:], *lines[-1:]]), "its log is empty")


def _spawn(home: Path, port: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server detached: no terminal, no signals of ours, none of the client's settings."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=home / "prefect",
        env=_server_environment(os.environ, home, port),
        start_new_session=True,
        close_fds=True,
        umask=0o077,
    )


def _server_environment(environment: Mapping[str, str], home: Path, port: int) -> dict[str, str]:
    """The environment of the server: the user's settings for servers are kept, those for clients are not its own.

    Its UI is unpacked beside its database: by default it would be in the installed package, which may be another's.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("PREFECT_", "PYTEST_")) or name.startswith("PREFECT_SERVER_")
    }
    ours = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "prefect" / "ui"),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "DO_NOT_TRACK": "1",
    }
    return {**TUNED, **kept, **ours}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _comes_up(child: subprocess.Popen[bytes], record: ServerRecord, deadline: float) -> bool:
    """Wait until the child itself listens and is healthy; False when it ended (somebody else took the port)."""
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        if _listens(record) and healthy(record):
            return True
        time.sleep(0.1)
    raise TimedOut("the Prefect server did not come up in time", hint="is the machine very busy? Try again")


def _listens(record: ServerRecord) -> bool:
    """Whether the port is held by our process: another user's server may answer on it just as well."""
    import psutil

    try:
        sockets = psutil.Process(record.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == record.port for s in sockets)


def healthy(record: ServerRecord) -> bool:
    """Whether the server says that it is well."""
    try:
        return answer_of(f"{record.api_url}/health", 5) == 200
    except OSError:
        return False


def wait_until_healthy(record: ServerRecord, timeout: float, home: Path) -> None:
    """Wait for a server that was found; raises ``CooprError`` when it does not answer in time."""
    deadline = time.monotonic() + timeout
    while not healthy(record):
        if process_of(record) is None or time.monotonic() > deadline:
            raise CooprError(
                f"the Prefect server (process {record.pid}) does not answer at {record.api_url}",
                hint=f"`coopr server stop`, then try again; its log is {home / 'logs' / 'prefect-server.log'}",
            )
        time.sleep(0.2)


def forget(home: Path) -> None:
    """Remove the record of a server that is gone."""
    (home / "server.json").unlink(missing_ok=True)


def _write(path: Path, record: ServerRecord) -> None:
    """Write the record in one piece: a reader sees the old file or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record)))
    partial.replace(path)


def end(process: psutil.Process, timeout: float) -> None:
    """Ask the server to end, and end it for certain after ``timeout`` seconds, with all processes it started.

    SIGINT, not SIGTERM: on SIGTERM it dies before it has closed its database.
    """
    import psutil

    living = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGINT)
    living = _outlasting(living, timeout)
    for straggler in living:
        with contextlib.suppress(psutil.NoSuchProcess):
            straggler.kill()
    _outlasting(living, 5)


def _outlasting(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; those that still live when the time is over."""
    deadline = time.monotonic() + seconds
    while (processes := [each for each in processes if _lives(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended; one that has, but that nobody collects, as in a container without an init, has."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _end_child(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
