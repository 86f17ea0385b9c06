"""The Prefect server: the user's own when one is named, else one of ours, started once and stopped cleanly."""

from __future__ import annotations

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from free_ports import free_port
from watching import alive

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.process_start import start_stamp
from flows.connection import guard
from flows.connection.record import ServerRecord, process_of
from flows.server import ServerInfo, ServerUnreachable, ensure_server, server_status, stop_server

pytestmark = pytest.mark.both

ENSURE = """
import json, sys
from pathlib import Path
from flows.server import ensure_server
info = ensure_server(Path(sys.argv[1]))
import prefect.settings
print(json.dumps([info.pid, info.started, info.api_url, prefect.settings.get_current_settings().api.url]))
"""


@pytest.fixture
def no_server_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    for name in (
        *("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_HOME", "PREFECT_PROFILES_PATH"),
        *("PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK"),
    ):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back, also where nothing was set before
        monkeypatch.delenv(name)
    monkeypatch.setattr(guard, "_watched", None)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "state"
    monkeypatch.undo()
    if "prefect" in sys.modules:  # which remembers what the environment was
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def test_two_commands_at_once_start_one_server_that_logs_no_error_from_start_to_stop(no_server_named: Path) -> None:
    state = no_server_named
    command = [sys.executable, "-c", ENSURE, str(state)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/", text=True) for _ in range(2)]
    try:
        answers = [json.loads(process.communicate(timeout=170)[0]) for process in both]
        pids, started, urls, used_by_prefect = (list(part) for part in zip(*answers, strict=True))
        assert pids[0] == pids[1]
        assert sorted(started) == [False, True]
        assert urls == used_by_prefect

        found = ensure_server(state)
        assert (found.pid, found.started, found.managed) == (pids[0], False, True)
        os.environ.pop("PREFECT_API_URL")
        assert server_status(state).running
        with urllib.request.urlopen(found.ui_url, timeout=10) as page:
            assert b"Prefect" in page.read()
        assert (state / "prefect" / "ui").is_dir(), "the UI is unpacked where we may write, not in the package"

        time.sleep(6)
        assert stop_server(state)
    finally:
        stop_server(state)
    assert not alive(pids[0])
    assert not server_status(state).running
    assert not stop_server(state)
    log = (state / "logs" / "prefect-server.log").read_text()
    assert not re.search(r"error|traceback|exception|critical|warning", log, re.IGNORECASE), log
    assert "Server stopped" in log
    assert not list((state / "prefect").glob("*.db-wal")), "the database was not closed"


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from flows import server, server_process

spawn = server_process._spawn

def interrupted(*given):
    child = spawn(*given)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    return child

server_process._spawn = interrupted
try:
    server.ensure_server(Path(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_server_that_is_being_started_ends_with_control_c_whenever_it_comes(no_server_named: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(no_server_named)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=170)
    pid, said = done.stdout.split()
    assert said == "interrupted", done.stderr
    assert not alive(int(pid))
    assert not server_status(no_server_named).running


def test_a_server_is_known_by_when_it_started_whatever_the_clock_says() -> None:
    stamp = start_stamp(os.getpid())
    assert process_of(ServerRecord(os.getpid(), 0.0, 4200, stamp=stamp)) is not None
    assert process_of(ServerRecord(os.getpid(), psutil.Process().create_time(), 4200, stamp=f"{stamp}9")) is None


def test_an_unreachable_server_named_in_the_environment_is_one_clear_error_and_nothing_is_created(
    no_server_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://user:hidden@127.0.0.1:9/api")
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9/api \(from PREFECT_API_URL\)") as caught:
        ensure_server(no_server_named)
    assert "hidden" not in str(caught.value)
    assert caught.value.exit_code == 4
    assert not no_server_named.exists()
    assert not server_status(no_server_named).running


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        (
            "../home/.prefect/profiles.toml",
            'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n',
            "profile 'mine'",
        ),
        ("prefect.toml", '[api]\nurl = "http://127.0.0.1:9/api"\n', r"prefect\.toml"),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:9/api"\n', r"pyproject\.toml"),
        (".env", "PREFECT_API_URL=http://127.0.0.1:9/api\n", r"\.env"),
    ],
)
def test_a_server_is_looked_for_wherever_prefect_looks(no_server_named: Path, file: str, text: str, where: str) -> None:
    path = Path.cwd() / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(ServerUnreachable, match=where):
        ensure_server(no_server_named)


def test_a_broken_prefect_settings_file_is_named(no_server_named: Path) -> None:
    Path("prefect.toml").write_text("[api\n")
    with pytest.raises(CooprError, match=r"prefect\.toml is not valid TOML"):
        ensure_server(no_server_named)


def test_something_else_at_the_named_address_is_told_apart(
    no_server_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{other.server_port}/api")
        with pytest.raises(ServerUnreachable, match="is not the API of a Prefect server"):
            ensure_server(no_server_named)
        other.shutdown()


def test_a_process_that_got_the_servers_old_id_is_not_mistaken_for_it(no_server_named: Path) -> None:
    no_server_named.mkdir()
    record = {"pid": os.getpid(), "created": psutil.Process().create_time() - 60, "port": 4200}
    (no_server_named / "server.json").write_text(json.dumps(record))
    assert server_status(no_server_named) == ServerInfo("", "", managed=True, running=False)
    assert not stop_server(no_server_named)
    assert psutil.pid_exists(os.getpid())


def test_a_state_directory_that_cannot_be_written_is_named(no_server_named: Path) -> None:
    no_server_named.write_text("a file")
    with pytest.raises(CooprError, match="cannot write to the state directory"):
        ensure_server(no_server_named)


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_what_is_no_port_to_begin_at_is_told(no_server_named: Path, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", port)
    with pytest.raises(InvalidInput, match=f"PREFECT_SERVER_API_PORT is no port: {port}"):
        ensure_server(no_server_named)


def test_a_port_that_another_takes_while_the_server_starts_is_left_to_it(
    no_server_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import server_process

    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("PREFECT_SERVER_API_PORT", str(taken))
        monkeypatch.setattr(server_process, "_is_free", lambda port: True)
        try:
            found = ensure_server(no_server_named)
            assert found.api_url == f"http://127.0.0.1:{taken + 1}/api"
        finally:
            stop_server(no_server_named)
    log = (no_server_named / "logs" / "prefect-server.log").read_text()
    assert "in use" not in log


def test_importing_the_flows_does_not_import_prefect() -> None:
    program = "import sys, flows, coopr_core.operations.create, flows.server, flows.vault, deployments.server; "
    program += "sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd="/", check=False).returncode == 0
