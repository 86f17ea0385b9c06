"""Which process our Prefect server is: ``server.json`` in the state directory, believed only as far as the process is.

Promise: a record is believed only when its process still lives and started when it says; a port only when that very
process listens on it, since another user's server may answer there just as well. Costs about a millisecond. Nothing
here imports Prefect.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.folders import private
from coopr_core.process_start import start_stamp
from coopr_core.proxies import host_of, is_loopback, proxy_variables

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"

_NO_PROXY = urllib.request.ProxyHandler({})
_HEADERS = {"Accept": "application/json"}
_ANSWERS_WITHIN = 20.0
"""Seconds; a busy server may keep one waiting for that long, and is no less well."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What ``server.json`` keeps: the process and when it started, so that a reused id is told apart.

    ``stamp`` says that, whatever is done to the clock; releases that had none say when it was ``created``.
    ``password`` is the fingerprint of the password it asks for, empty for a server of a release that had none.
    """

    pid: int
    created: float
    port: int
    password: str = ""
    stamp: str = ""

    @property
    def api_url(self) -> str:
        """Where its API answers."""
        return f"http://{HOST}:{self.port}/api"


def recorded(home: Path) -> ServerRecord | None:
    """Return the server we started last, whatever became of it."""
    try:
        return ServerRecord(**json.loads((home / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running(home: Path) -> ServerRecord | None:
    """Return the server we started, if its process lives."""
    record = recorded(home)
    return record if record is not None and process_of(record) is not None else None


def process_of(record: ServerRecord) -> psutil.Process | None:
    """Return the very process the record is about, if it lives."""
    import psutil

    try:
        process = psutil.Process(record.pid)
        if record.stamp:
            same = start_stamp(record.pid) == record.stamp
        else:
            same = abs(process.create_time() - record.created) < 1
    except psutil.Error:
        return None
    return process if same and lives(process) else None


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended; one that has, but that nobody collects, as in a container without an init, has."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def listens(record: ServerRecord) -> bool:
    """Whether the port is held by our process: another user's server may answer on it just as well."""
    import psutil

    process = process_of(record)
    if process is None:
        return False
    try:
        sockets = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == record.port for s in sockets)


def answer_of(url: str, timeout: float) -> int:
    """Return the status of an answer to GET, asked for as Prefect's clients do; OSError when there is none."""
    if is_loopback(host_of(url)) or not proxy_variables(os.environ):
        return _direct_answer(url, timeout)
    import httpx

    try:
        return httpx.get(url, headers=_HEADERS, timeout=timeout, follow_redirects=True).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(str(error) or type(error).__name__) from error


def _direct_answer(url: str, timeout: float) -> int:
    request = urllib.request.Request(url, headers=_HEADERS)
    try:
        with urllib.request.build_opener(_NO_PROXY).open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def healthy(record: ServerRecord) -> bool:
    """Whether the server itself, no other on its port, says that it is well."""
    try:
        return listens(record) and answer_of(f"{record.api_url}/health", _ANSWERS_WITHIN) == 200
    except OSError:
        return False


def write(home: Path, record: ServerRecord) -> None:
    """Write the record in one piece: a reader sees the old file or the new one."""
    partial = home / "server.partial"
    with open(partial, "w", opener=private) as file:
        json.dump(asdict(record), file)
    partial.replace(home / "server.json")


def forget(home: Path) -> None:
    """Remove the record of a server that is gone."""
    (home / "server.json").unlink(missing_ok=True)
