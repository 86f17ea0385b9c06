"""The process of the Prefect server that we start: spawned apart from us, recorded, found again, ended cleanly.

Promise: a record is believed only when its process still lives and started when it says; a port only when that very
process listens on it, since another user's server may answer there just as well. Nothing here imports Prefect.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from coopr_core.errors import CooprError, Interrupted, InvalidInput, TimedOut
from coopr_core.folders import make_folder, private
from coopr_core.process_start import start_stamp
from coopr_core.work.job.signals import Stoppable
from flows.connection import guard
from flows.connection.password import fingerprint
from flows.connection.record import HOST, ServerRecord, healthy, lives, process_of, recorded, write

if TYPE_CHECKING:
    import psutil

FIRST_PORT = 4200
"""Where the search for a free port begins, unless ``PREFECT_SERVER_API_PORT`` says otherwise."""

LOG_LIMIT = 10_000_000
"""Bytes after which the server's log is put aside when the server starts again."""

EVENT_DAYS = 2
"""How long our server keeps events, which are five sixths of its database; flow and task runs are none of them."""

RUN_DAYS = 30
"""How long it keeps flow runs that have ended, with their task runs, logs and artifacts."""

TUNED = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{EVENT_DAYS}D",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": f"{RUN_DAYS * 86400}",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_COLORS": "false",
}
"""What makes the server record a thousand task runs in two seconds instead of thirty, and keeps its database from
growing for ever; the user's environment wins.
"""


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """One command at a time starts or stops the server; the lock goes with the process that holds it."""
    try:
        make_folder(home / "prefect")
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


def start(home: Path, timeout: float, password: str) -> ServerRecord:
    """Start the server on the port it had before, else on the first one that nobody else has or takes meanwhile.

    It may take ``timeout`` seconds on each. Ctrl-C ends it, and is heard of when it has ended.
    """
    stopping = threading.Event()
    started: list[ServerRecord] = []

    def begin() -> None:
        with guard.passed_by_this_thread():
            started.append(_started(home, timeout, password, stopping))

    work = Stoppable(lambda count: stopping.set())
    try:
        work.run(begin)
    finally:
        if work.received is not None:
            raise work.received
    return started[0]


def _started(home: Path, timeout: float, password: str, stopping: threading.Event) -> ServerRecord:
    log = _log_file(home)
    for port in _ports(home):
        if not _is_free(port):
            continue
        with open(log, "ab", opener=private) as output:
            before = output.tell()
            child = _spawn(home, port, password, output)
        record = ServerRecord(child.pid, time.time(), port, fingerprint(password), start_stamp(child.pid))
        try:
            if _comes_up(child, record, timeout, stopping):
                write(home, record)
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
        f"no free port for the Prefect server from {_first_port(os.environ)} on",
        hint="set PREFECT_SERVER_API_PORT to another port to begin at, or PREFECT_API_URL to a server",
    )


def _ports(home: Path) -> list[int]:
    """Return the ports to try: whoever talked to a server that died finds the next one where it was."""
    before = recorded(home)
    first = _first_port(os.environ)
    ports = range(first, min(first + 200, 65536))
    return [*([before.port] if before else []), *ports]


def _first_port(environment: Mapping[str, str]) -> int:
    named = environment.get("PREFECT_SERVER_API_PORT", "").strip()
    if not named:
        return FIRST_PORT
    if not (named.isascii() and named.isdigit() and 1 <= int(named) <= 65535):
        raise InvalidInput(
            f"PREFECT_SERVER_API_PORT is no port: {named}", hint="it is a number from 1 to 65535, such as 4200"
        )
    return int(named)


def _log_file(home: Path) -> Path:
    make_folder(home / "logs")
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
    """Return what the log says went wrong: its last line that names an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").split("\n") if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return next(iter([*errors[-1:], *lines[-1:]]), "its log is empty")


def _spawn(home: Path, port: int, password: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server detached: no terminal, no signals of ours, none of the client's settings."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=home / "prefect",
        env=_server_environment(os.environ, home, port, password),
        start_new_session=True,
        close_fds=True,
        umask=0o077,
    )


def _server_environment(environment: Mapping[str, str], home: Path, port: int, password: str) -> dict[str, str]:
    """Return the server's environment: the user's settings for servers are kept, those for clients are not its own.

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
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_API_AUTH_STRING": password,
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


def _comes_up(child: subprocess.Popen[bytes], record: ServerRecord, timeout: float, stopping: threading.Event) -> bool:
    """Wait until the child itself listens and is healthy; False when it ended (somebody else took the port)."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if stopping.is_set():
            raise Interrupted("stopped while the Prefect server was starting")
        if child.poll() is not None:
            return False
        if healthy(record):
            return True
        time.sleep(0.1)
    raise TimedOut("the Prefect server did not come up in time", hint="is the machine very busy? Try again")


def is_used(record: ServerRecord) -> bool:
    """Whether somebody is connected to the server: a run, a worker, a page in a browser.

    One that a busy server has not accepted yet counts too: the system's table has it, the process' own files do not.
    """
    import psutil

    process = process_of(record)
    if process is None:
        return False
    try:
        return ((HOST, record.port), psutil.CONN_ESTABLISHED) in _connections(process)
    except psutil.Error:
        return False


def _connections(process: psutil.Process) -> list[tuple[tuple[str, int] | tuple[()], str]]:
    """Return this machine's connections, own address and state; the process' where a user may see no more (macOS)."""
    import psutil

    try:
        return [(each.laddr, each.status) for each in psutil.net_connections("tcp4")]
    except psutil.AccessDenied:
        return [(each.laddr, each.status) for each in process.net_connections("tcp4")]


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
    while (processes := [each for each in processes if lives(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes


def _end_child(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
