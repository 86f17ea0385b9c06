"""A real Prefect server for the tests that need one: coopr's own, started once for the whole run, stopped at its end.

Import the fixture in a folder's conftest: ``from prefect_server import prefect_server``. Prefect itself must only be
imported inside tests, after the fixture has pointed this process at the server.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watching import files_with, paths_below

from flows.server import ServerInfo, ensure_server, stop_server

_SET = (
    *("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME"),
    *("PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK"),
)


@pytest.fixture(scope="session")
def prefect_server(own_state: None) -> Iterator[ServerInfo]:
    """The server, and this process' environment set up for it."""
    before = {name: os.environ.get(name) for name in _SET}
    server = ensure_server()

    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import APILogHandler

    setup_logging()  # the first flow run would, and take away the handlers by which a test reads logs
    yield server
    APILogHandler().flush()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if server.started:
        stop_server()


def authorization(server: ServerInfo) -> dict[str, str]:
    """The header that opens the server's API."""
    if server.password_file is None:
        return {}
    password = server.password_file.read_text().strip()
    return {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}


def files_with_password(server: ServerInfo) -> list[Path]:
    """The files of the state folder in which the server's password stands, in clear or as HTTP sends it."""
    assert server.password_file is not None
    secret = server.password_file.read_text().strip()
    forms = secret.encode(), base64.b64encode(secret.encode())
    return files_with(paths_below(server.password_file.parents[1]), *forms)


def api(server: ServerInfo, path: str, body: Any = None, *, method: str = "") -> Any:
    """One call of the server's HTTP API, with nothing of Prefect's: POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{server.api_url}{path}",
        data=data,
        method=method or ("GET" if data is None else "POST"),
        headers={"Content-Type": "application/json", **authorization(server)},
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:  # 503: its SQLite file was busy; Prefect's own client tries again too
            if error.code != 503 or time.monotonic() > deadline:
                raise
        time.sleep(0.5)
