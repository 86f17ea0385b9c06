"""The Prefect server that flows report to: the user's own when one is named, else one of ours in the background.

Importing this module costs nothing: it never imports Prefect, so that the process' environment can be made right first.
Our server is one process on the loopback address, started under a file lock, found again through ``server.json`` in the
state directory (process id and start time, so that a reused id is never mistaken for it), and shared by all commands of
one user; it asks for a password, which they take from the state directory. Starting it takes about six seconds, finding
it again some ten milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from coopr_core.errors import CooprError, Unreachable
from coopr_core.proxies import direct, go_direct, host_of, is_loopback, proxy_variables, set_aside_unusable, unusable
from flows.connection import guard
from flows.connection.named import configured_api_url
from flows.connection.password import VARIABLE, fingerprint, make_password, password, password_file
from flows.connection.record import (
    HOST,
    ServerRecord,
    answer_of,
    forget,
    healthy,
    listens,
    process_of,
    recorded,
    running,
)
from flows.server_process import end, is_used, locked, start, wait_until_healthy

QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_LOGGING_LEVEL": "WARNING"}
"""No telemetry, and none of Prefect's own lines per task: they cost as much as the task run itself."""


class ServerUnreachable(Unreachable):
    """No Prefect server answers where the user said there is one."""

    code = "server-unreachable"


class ServerReplaced(Unreachable):
    """What answers at the address of the server that a run began with does not know the run."""

    code = "server-replaced"


def server_replaced() -> ServerReplaced:
    """Return the failure of a run whose server has become another one, or has been emptied."""
    url = without_password(os.environ.get("PREFECT_API_URL", ""))
    return ServerReplaced(
        f"the Prefect server at {url} does not know this flow run, or who runs it: "
        "another server has taken its place, or the run was deleted there",
        hint="what ran on the nodes is recorded: `coopr list` shows it; `coopr retry CLUSTER` does what is left",
    )


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A Prefect server.

    ``managed`` says that it is the one coopr started (with its ``pid``), ``started`` that this very call did;
    ``home`` is then where its files are, ``password_file`` where its password is, ``warning`` what is wrong with it.
    When ``running`` is False the URLs are empty.
    """

    api_url: str
    ui_url: str
    pid: int | None = None
    managed: bool = False
    started: bool = False
    running: bool = True
    home: Path | None = None
    password_file: Path | None = None
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the server as ``-o json`` prints it."""
        paths = {"home": self.home, "password_file": self.password_file}
        return {**asdict(self), **{name: str(path) if path else "" for name, path in paths.items()}}


def ensure_server(state_dir: Path | None = None, *, timeout: float = 180) -> ServerInfo:
    """Return the server to use, started if need be, and this process set up to talk to it.

    Raises ``ServerUnreachable`` when the user named a server that does not answer, ``TimedOut`` when ours does not come
    up in ``timeout`` seconds on any port.
    """
    home = _home(state_dir)
    configured = configured_api_url()
    _pass_proxies_by(configured[0] if configured else "")
    named = configured if configured and not _is_at(home, configured[0]) else None
    info = _external(*named) if named else _managed(home, timeout)
    configure_prefect(info)
    return info


def revive_server(*, timeout: float) -> ServerInfo:
    """Start our server again where it was, for a run that talks to it; nothing else of this process changes.

    When another has its port meanwhile, ours is at another address, and the run stays cut off from either.
    """
    return _managed(_home(None), timeout)


def _managed(home: Path, timeout: float) -> ServerInfo:
    with locked(home):
        secret = make_password(home)
        record = running(home)
        if record is not None and record.password != fingerprint(secret) and not is_used(record):
            _end(record, 30)  # one of an earlier release, open to everybody, or one whose password is lost
            record = None
        started = record is None
        if record is None:
            record = start(home, timeout, secret)
        else:
            _check_password(record, secret, home)
            wait_until_healthy(record, timeout, home)
    return _ours(record, home, started=started)


def _check_password(record: ServerRecord, secret: str, home: Path) -> None:
    if record.password not in ("", fingerprint(secret)):
        raise CooprError(
            f"the Prefect server (process {record.pid}) asks for another password than that in {password_file(home)}",
            hint="`coopr server stop`, then try again; workers must be started again too",
        )


def _is_at(home: Path, url: str) -> bool:
    """Whether our server is what is named by ``url``: it lives, or this process was told of it by one of ours."""
    record = recorded(home)
    if record is None or _place(url) != _place(record.api_url):
        return False
    return process_of(record) is not None or os.environ.get(VARIABLE, "") == password(home) != ""


def _place(url: str) -> tuple[str, int | None, str]:
    try:
        parts = urlsplit(url)
        return (HOST if parts.hostname == "localhost" else parts.hostname or "", parts.port, parts.path.rstrip("/"))
    except ValueError:
        return (url, None, "")


def is_ours(api_url: str = "", state_dir: Path | None = None) -> bool:
    """Whether what listens at ``api_url`` (default: what this process is pointed at) is the server that we started.

    A port alone says nothing: another user's server may have taken it when ours ended.
    """
    home = _home(state_dir)
    record = running(home)
    url = api_url or os.environ.get("PREFECT_API_URL", "")
    return record is not None and _place(url) == _place(record.api_url) and listens(record)


def _ours(record: ServerRecord, home: Path, *, started: bool = False) -> ServerInfo:
    url = record.api_url
    warning = ""
    if not record.password:
        warning = (
            f"the Prefect server (process {record.pid}) asks for no password: every user of this machine can use it; "
            "an earlier release started it, and it is in use: stop workers, then `coopr server stop` when nothing runs"
        )
    return ServerInfo(
        url,
        _ui_url(url),
        record.pid,
        True,
        started,
        home=home / "prefect",
        password_file=password_file(home),
        warning=warning,
    )


def server_status(state_dir: Path | None = None) -> ServerInfo:
    """Return the server in use: the user's if one is named, else ours; ``running`` says whether it answers."""
    home = _home(state_dir)
    configured = configured_api_url()
    _pass_proxies_by(configured[0] if configured else "")
    if configured and not _is_at(home, configured[0]):
        try:
            return _external(*configured)
        except ServerUnreachable:
            url = without_password(configured[0])
            return ServerInfo(url, _ui_url(url), running=False)
    record = running(home)
    if record is None:
        return ServerInfo("", "", managed=True, running=False)
    return replace(_ours(record, home), running=healthy(record))


def stop_server(state_dir: Path | None = None, *, timeout: float = 30) -> bool:
    """Stop the server we started and wait for its end; False when none runs. Another's server is never touched."""
    home = _home(state_dir)
    with locked(home):
        record = running(home)
        if record is None:
            forget(home)
            return False
        _end(record, timeout)
        forget(home)
        return True


def _end(record: ServerRecord, timeout: float) -> None:
    process = process_of(record)
    if process is not None:
        end(process, timeout)


def environment(server: ServerInfo) -> dict[str, str]:
    """Return what other programs of this user need in their environment to talk to the server, but for its password."""
    return {"PREFECT_API_URL": server.api_url, **direct(os.environ)}


def configure_prefect(server: ServerInfo) -> None:
    """Make this process talk to ``server``, quietly; also when Prefect has been imported already.

    With our own server Prefect's files are kept beside the server's, unless the user has a Prefect home.
    """
    os.environ["PREFECT_API_URL"] = server.api_url
    _take_password(server)
    quieten(server.home)
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _take_password(server: ServerInfo) -> None:
    """Have our server's password at hand, and nobody else be told it."""
    if server.managed and server.home is not None:
        home = server.home.parent
        os.environ[VARIABLE] = password(home)
        if record := running(home):
            guard.watch(home, record)
        return
    guard.unwatch()
    with contextlib.suppress(CooprError):
        if os.environ.get(VARIABLE) and os.environ[VARIABLE] == password(_home(None)):
            del os.environ[VARIABLE]


def prepare_prefect() -> None:
    """Make the environment right for importing Prefect, before it is known which server will be used."""
    configured = configured_api_url()
    _pass_proxies_by(configured[0] if configured else "")
    quieten(None if configured else _home(None) / "prefect")


def _pass_proxies_by(url: str) -> None:
    """Have this machine, where our server is and the one at ``url`` may be, reached without a proxy."""
    host = host_of(url)
    if host and is_loopback(host):
        go_direct(host)
    else:
        go_direct()
    if not host or is_loopback(host) or proxy_bypass(host):
        set_aside_unusable()


def way_to_server() -> tuple[str, bool]:
    """Return the host of the server in use, and whether it is asked without a proxy."""
    configured = configured_api_url()
    host = host_of(configured[0]) if configured else HOST
    return host, is_loopback(host) or not proxy_variables(os.environ) or bool(proxy_bypass(host))


def _check_proxies(url: str) -> None:
    for name, reason in unusable(os.environ).items():
        raise ServerUnreachable(
            f"the Prefect server at {without_password(url)} cannot be asked through the proxy of {name}: {reason}",
            hint=f"correct or unset {name}, or put {host_of(url)} into NO_PROXY",
        )


def quieten(home: Path | None = None) -> None:
    """Turn telemetry and Prefect's line per task off, unless the environment says otherwise.

    ``home`` is where Prefect's files go, unless the user has a Prefect home.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if home is not None and not (Path.home() / ".prefect" / "profiles.toml").exists():
        os.environ.setdefault("PREFECT_HOME", str(home))


def _external(api_url: str, where: str) -> ServerInfo:
    _check_proxies(api_url)
    hint = f"start that server, or correct or unset {where} (without it, coopr starts a server of its own)"
    if (variables := proxy_variables(os.environ)) and not proxy_bypass(host_of(api_url)):
        hint += (
            f"\n{' and '.join(variables)} may lead there through a proxy: is {host_of(api_url)} missing in NO_PROXY?"
        )
    try:
        answer = answer_of(f"{api_url}/health", 10)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServerUnreachable(
            f"no Prefect server answers at {without_password(api_url)} (from {where}): {reason}", hint=hint
        ) from error
    if answer not in (200, 401, 403):
        raise ServerUnreachable(
            f"{without_password(api_url)} (from {where}) is not the API of a Prefect server: "
            f"/health answers {answer}; the URL usually ends in /api",
            hint=hint,
        )
    return ServerInfo(api_url, _ui_url(api_url))


def _ui_url(api_url: str) -> str:
    return os.environ.get("PREFECT_UI_URL") or without_password(api_url).removesuffix("/api")


def without_password(url: str) -> str:
    """Return a server's address as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _home(state_dir: Path | None) -> Path:
    if state_dir is None:
        from coopr_core.settings import load_settings

        state_dir = load_settings().state_dir
    return state_dir
