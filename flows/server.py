"""The Prefect server that flows report to: the user's own when one is named, else one of ours in the background.

Importing this module costs nothing: it never imports Prefect, so that the process' environment can be made right first.
Our server is one process on the loopback address, started under a file lock, found again through ``server.json`` in the
state directory (process id and start time, so that a reused id is never mistaken for it), and shared by all commands of
one user. Starting it takes about six seconds, finding it again a few milliseconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from coopr_core.errors import CooprError, TimedOut, Unreachable

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"
FIRST_PORT = 4200
LOG_LIMIT = 10_000_000
"""Bytes after which the server's log is put aside when the server starts again."""

QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_LOGGING_LEVEL": "WARNING"}
"""No telemetry, and none of Prefect's own lines per task: they cost as much as the task run itself."""

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


class ServerUnreachable(Unreachable):
    """No Prefect server answers where the user said there is one."""

    code = "server-unreachable"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A Prefect server.

    ``managed`` says that it is the one coopr started (with its ``pid``), ``started`` that this very call did;
    ``home`` is then where its files are. When ``running`` is False the URLs are empty.
    """

    api_url: str
    ui_url: str
    pid: int | None = None
    managed: bool = False
    started: bool = False
    running: bool = True
    home: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The server as ``-o json`` prints it."""
        return {**asdict(self), "home": str(self.home) if self.home else ""}


@dataclass(frozen=True, slots=True)
class _Record:
    """What ``server.json`` keeps: the process and when it started, so that a reused id is told apart."""

    pid: int
    created: float
    port: int

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.port}/api"

    def info(self, home: Path, *, started: bool = False) -> ServerInfo:
        """The server as others see it."""
        return ServerInfo(self.api_url, f"http://{HOST}:{self.port}", self.pid, True, started, home=home / "prefect")


def configured_api_url() -> tuple[str, str] | None:
    """The API URL the user chose and where it stands, or None.

    Looks where Prefect looks, in its order: the environment, ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the
    working directory, then the active profile.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url.rstrip("/"), "PREFECT_API_URL"
    if Path(".env").is_file():
        from dotenv import dotenv_values

        if url := dotenv_values(".env").get("PREFECT_API_URL"):
            return url.rstrip("/"), "PREFECT_API_URL in .env"
    for file, keys in (("prefect.toml", ("api",)), ("pyproject.toml", ("tool", "prefect", "api"))):
        found: Any = _toml(Path(file))
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        if isinstance(found, dict) and found.get("url"):
            return str(found["url"]).rstrip("/"), f"api.url in {file}"
    return _profile_api_url()


def _profile_api_url() -> tuple[str, str] | None:
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = _toml(Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active", "")
    settings = profiles.get("profiles", {}).get(active, {})
    url = settings.get("PREFECT_API_URL") if isinstance(settings, dict) else None
    return (str(url).rstrip("/"), f"the Prefect profile {active!r}") if url else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CooprError(f"{path} is not valid TOML: {error}", hint=f"repair {path}: Prefect reads it too") from error


def ensure_server(state_dir: Path | None = None, *, timeout: float = 180) -> ServerInfo:
    """The server to use, started if need be, and this process set up to talk to it.

    Raises ``ServerUnreachable`` when the user named a server that does not answer, ``TimedOut`` when ours does not come
    up in ``timeout`` seconds.
    """
    if configured := configured_api_url():
        info = _external(*configured)
        configure_prefect(info)
        return info
    home = _home(state_dir)
    with _lock(home):
        record = _running(home)
        started = record is None
        if record is None:
            record = _start(home, timeout)
        else:
            _wait_until_healthy(record, timeout, home)
    info = record.info(home, started=started)
    configure_prefect(info)
    return info


def server_status(state_dir: Path | None = None) -> ServerInfo:
    """The server in use: the user's if one is named, else ours; ``running`` says whether it answers."""
    if configured := configured_api_url():
        try:
            return _external(*configured)
        except ServerUnreachable:
            url = _without_password(configured[0])
            return ServerInfo(url, _ui_url(url), running=False)
    home = _home(state_dir)
    record = _running(home)
    if record is None:
        return ServerInfo("", "", managed=True, running=False)
    return replace(record.info(home), running=_healthy(record))


def stop_server(state_dir: Path | None = None, *, timeout: float = 30) -> bool:
    """Stop the server we started and wait for its end; False when none runs. Another's server is never touched."""
    home = _home(state_dir)
    with _lock(home):
        record = _running(home)
        if record is None:
            (home / "server.json").unlink(missing_ok=True)
            return False
        process = _process(record)
        if process is not None:
            _end(process, timeout)
        (home / "server.json").unlink(missing_ok=True)
        return True


def configure_prefect(server: ServerInfo) -> None:
    """Make this process talk to ``server``, quietly; also when Prefect has been imported already.

    With our own server Prefect's files are kept beside the server's, unless the user has a Prefect home.
    """
    os.environ["PREFECT_API_URL"] = server.api_url
    quieten()
    if server.home is not None and not (Path.home() / ".prefect" / "profiles.toml").exists():
        os.environ.setdefault("PREFECT_HOME", str(server.home))
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def quieten() -> None:
    """Turn telemetry and Prefect's line per task off, unless the environment says otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _external(api_url: str, where: str) -> ServerInfo:
    hint = f"start that server, or correct or unset {where} (without it, coopr starts a server of its own)"
    try:
        answer = _get(f"{api_url}/health", 10)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServerUnreachable(
            f"no Prefect server answers at {_without_password(api_url)} (from {where}): {reason}", hint=hint
        ) from error
    if answer not in (200, 401, 403):
        raise ServerUnreachable(
            f"{_without_password(api_url)} (from {where}) is not the API of a Prefect server: "
            f"/health answers {answer}; the URL usually ends in /api",
            hint=hint,
        )
    return ServerInfo(api_url, _ui_url(api_url))


def _ui_url(api_url: str) -> str:
    return os.environ.get("PREFECT_UI_URL") or _without_password(api_url).removesuffix("/api")


def _without_password(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _get(url: str, timeout: float) -> int:
    """The status of an answer to GET; OSError when there is none."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    opener = urllib.request.build_opener() if HOST not in url else urllib.request.build_opener(_NO_PROXY)
    try:
        with opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


_NO_PROXY = urllib.request.ProxyHandler({})


def _home(state_dir: Path | None) -> Path:
    if state_dir is None:
        from coopr_core.settings import load_settings

        state_dir = load_settings().state_dir
    return state_dir


@contextmanager
def _lock(home: Path) -> Iterator[None]:
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


def _running(home: Path) -> _Record | None:
    """The server we started, if its process lives."""
    try:
        record = _Record(**json.loads((home / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if _process(record) is not None else None


def _process(record: _Record) -> psutil.Process | None:
    import psutil

    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


def _start(home: Path, timeout: float) -> _Record:
    """Start the server on the first port nobody else has or takes meanwhile."""
    import psutil

    log = _log_file(home)
    deadline = time.monotonic() + timeout
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        if not _is_free(port):
            continue
        with log.open("ab") as output:
            child = _spawn(home, port, output)
        try:
            record = _Record(child.pid, psutil.Process(child.pid).create_time(), port)
        except psutil.Error:
            continue
        try:
            if _comes_up(child, record, deadline):
                _write(home / "server.json", record)
                return record
        except BaseException:
            _end_child(child)
            raise
        if _is_free(port):
            raise CooprError(
                f"the Prefect server ended while starting (exit status {child.returncode}): {_last_line(log)}",
                hint=f"its log is {log}",
            )
    raise CooprError(
        f"no free port for the Prefect server from {FIRST_PORT} on", hint="set PREFECT_API_URL to a server"
    )


def _log_file(home: Path) -> Path:
    (home / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
    log = home / "logs" / "prefect-server.log"
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    return log


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


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
    """The environment of the server: the user's settings for servers are kept, those for clients are not its own."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("PREFECT_", "PYTEST_")) or name.startswith("PREFECT_SERVER_")
    }
    ours = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
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


def _comes_up(child: subprocess.Popen[bytes], record: _Record, deadline: float) -> bool:
    """Wait until the child itself listens and is healthy; False when it ended (somebody else took the port)."""
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        if _listens(record) and _healthy(record):
            return True
        time.sleep(0.1)
    raise TimedOut("the Prefect server did not come up in time", hint="is the machine very busy? Try again")


def _listens(record: _Record) -> bool:
    """Whether the port is held by our process: another user's server may answer on it just as well."""
    import psutil

    try:
        sockets = psutil.Process(record.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == record.port for s in sockets)


def _healthy(record: _Record) -> bool:
    try:
        return _get(f"{record.api_url}/health", 5) == 200
    except OSError:
        return False


def _wait_until_healthy(record: _Record, timeout: float, home: Path) -> None:
    deadline = time.monotonic() + timeout
    while not _healthy(record):
        if _process(record) is None or time.monotonic() > deadline:
            raise CooprError(
                f"the Prefect server (process {record.pid}) does not answer at {record.api_url}",
                hint=f"`coopr server stop`, then try again; its log is {home / 'logs' / 'prefect-server.log'}",
            )
        time.sleep(0.2)


def _write(path: Path, record: _Record) -> None:
    """Write the record in one piece: a reader sees the old file or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record)))
    partial.replace(path)


def _end(process: psutil.Process, timeout: float) -> None:
    """Ask the server to end, and end it for certain after ``timeout`` seconds, with all processes it started.

    SIGINT, not SIGTERM: on SIGTERM it dies before it has closed its database.
    """
    import psutil

    children = process.children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs([process, *children], timeout=timeout)
    for straggler in alive:
        try:
            straggler.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)


def _end_child(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
