"""Our Prefect server opens only to those who have the installation's password: its owner's commands, by themselves."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect_server import api, authorization, files_with_password
from watching import wait_for
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from coopr_core.errors import CooprError
from coopr_core.settings import load_settings
from flows.connection.password import make_password, password, password_file
from flows.connection.record import HOST, ServerRecord, recorded, write
from flows.server import ServerInfo, ensure_server, is_ours, server_status, stop_server
from flows.server_process import is_used, locked, start

DOORS = [
    ("GET", "/version", None),
    ("GET", "/admin/settings", None),
    ("POST", "/deployments/filter", {}),
    ("GET", "/deployments/name/create-cluster/coopr", None),
    ("POST", "/deployments/00000000-0000-0000-0000-000000000000/create_flow_run", {"parameters": {}}),
    ("POST", "/flow_runs/", {"flow_id": "00000000-0000-0000-0000-000000000000"}),
    ("POST", "/block_documents/filter", {"include_secrets": True}),
    ("POST", "/events", []),
    ("POST", "/logs/", []),
    ("DELETE", "/work_pools/coopr", None),
    ("GET", "/health/../version", None),
    ("GET", "/version/health", None),
]
SOCKETS = [
    "events/in",
    "events/out",
    "logs/out",
    "task_runs/subscriptions/scheduled",
    "work_pools/coopr/workers/connect",
]


def status_of(server: ServerInfo, method: str, path: str, body: Any, headers: dict[str, str]) -> int:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{server.api_url}{path}", data, {"Content-Type": "application/json", **headers})
    asked.method = method
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(("method", "path", "body"), DOORS)
def test_without_the_password_every_call_of_the_api_is_refused(
    prefect_server: ServerInfo, method: str, path: str, body: Any
) -> None:
    assert status_of(prefect_server, method, path, body, {}) == 401
    assert status_of(prefect_server, method, path, body, {"Authorization": "Basic Y29vcHI6"}) == 401
    assert status_of(prefect_server, method, path, body, authorization(prefect_server)) != 401


def test_whether_the_server_is_well_is_all_that_everybody_may_ask(prefect_server: ServerInfo) -> None:
    assert status_of(prefect_server, "GET", "/health", None, {}) == 200


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("first", [None, {"type": "auth", "token": "coopr:guessed"}, {"type": "auth"}])
def test_without_the_password_no_socket_of_the_server_says_or_takes_anything(
    prefect_server: ServerInfo, path: str, first: dict[str, str] | None
) -> None:
    url = f"{prefect_server.api_url}/{path}".replace("http", "ws", 1)
    with connect(url, subprotocols=["prefect"], proxy=None) as socket:  # type: ignore[list-item]
        socket.send(json.dumps(first or {"id": "an event", "resource": {}}))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


def test_the_password_is_made_once_and_only_its_owner_can_read_it(prefect_server: ServerInfo) -> None:
    file = prefect_server.password_file
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    kept = file.read_text()
    assert len(kept.strip()) > 40
    assert make_password(load_settings().state_dir) == kept.strip()
    assert os.environ["PREFECT_API_AUTH_STRING"] == kept.strip()


def test_the_password_is_in_no_processs_arguments_and_in_no_file_but_its_own(prefect_server: ServerInfo) -> None:
    home = load_settings().state_dir
    secret = password(home)
    assert prefect_server.pid is not None
    assert secret not in " ".join(psutil.Process(prefect_server.pid).cmdline())
    assert files_with_password(prefect_server) == [password_file(home)]
    assert secret not in json.dumps(prefect_server.to_json())
    assert secret not in json.dumps(api(prefect_server, "/admin/settings"))


def test_a_process_that_is_only_told_the_address_finds_the_password_itself(prefect_server: ServerInfo) -> None:
    program = (
        "from flows.server import ensure_server; server = ensure_server(); from prefect import get_client\n"
        "with get_client(sync_client=True) as client: print(server.managed, client.hello().json())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_AUTH_STRING"}
    for url in (prefect_server.api_url, prefect_server.api_url.replace("127.0.0.1", "localhost"), ""):
        environment["PREFECT_API_URL"] = url
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "True 👋" in done.stdout


def test_the_password_is_not_handed_to_a_server_that_is_not_ours(
    prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "PREFECT_API_AUTH_STRING" in os.environ
    with monkeypatch.context() as patch:
        patch.setenv("PREFECT_API_AUTH_STRING", os.environ["PREFECT_API_AUTH_STRING"])
        patch.setenv("PREFECT_API_URL", "http://192.0.2.1:4200/api")
        patch.setattr("flows.server.answer_of", lambda url, timeout: 200)
        assert not ensure_server().managed
        assert "PREFECT_API_AUTH_STRING" not in os.environ
    assert ensure_server().managed


def test_a_password_that_others_may_read_is_closed_to_them_and_a_broken_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir(mode=0o755)
    made = make_password(tmp_path)
    file = password_file(tmp_path)
    file.chmod(0o644)
    assert password(tmp_path) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.write_text("")
    with pytest.raises(CooprError, match=str(file)) as caught:
        password(tmp_path)
    assert str(file) in caught.value.hint


def test_a_server_is_ours_by_its_process_not_by_its_port(prefect_server: ServerInfo, tmp_path: Path) -> None:
    assert is_ours(prefect_server.api_url)
    assert is_ours()
    assert not is_ours(prefect_server.api_url.replace(":42", ":43"))
    assert not is_ours(prefect_server.api_url, tmp_path), "it is another installation's"
    assert server_status().managed
    record = recorded(load_settings().state_dir)
    assert record is not None
    assert (record.pid, bool(record.password)) == (prefect_server.pid, True)


def test_a_connection_that_the_server_has_not_accepted_yet_is_a_use_of_it() -> None:
    with socket.create_server((HOST, 0)) as server:
        record = ServerRecord(os.getpid(), psutil.Process().create_time(), server.getsockname()[1])
        assert not is_used(record)
        with socket.create_connection((HOST, record.port)):
            assert is_used(record)
        wait_for(lambda: not is_used(record), "the connection is closed")


@pytest.mark.real
def test_a_server_of_an_earlier_release_without_a_password_is_replaced_once_nobody_uses_it(
    prefect_server: ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "")
    with locked(tmp_path):
        before = replace(start(tmp_path, 180, ""), password="")
        write(tmp_path, before)
    try:
        with socket.create_connection(("127.0.0.1", before.port)):
            used = ensure_server(tmp_path)
            assert (used.pid, used.started) == (before.pid, False)
            assert f"process {before.pid}) asks for no password" in used.warning
        os.environ["PREFECT_API_URL"] = ""
        wait_for(lambda: not is_used(before), "the connection is closed")
        now = ensure_server(tmp_path)
        assert now.started
        assert now.warning == ""
        assert now.pid != before.pid
        assert status_of(now, "POST", "/flows/filter", {}, {}) == 401
    finally:
        os.environ["PREFECT_API_URL"] = ""
        stop_server(tmp_path)
        monkeypatch.undo()
        ensure_server()
