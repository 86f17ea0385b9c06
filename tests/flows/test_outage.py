"""A Prefect server that goes away in mid-run: ours comes back, and where it cannot the job can be resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_catalog import service, until, write_catalog
from free_ports import free_port
from watching import wait_for

from coopr_core.model.states import JobState, TaskState
from coopr_core.store import Store

pytestmark = [pytest.mark.real]


@pytest.fixture(scope="module")
def installation(own_state: None) -> Iterator[dict[str, str]]:
    """The environment of an installation of its own, with its own server; a state folder nodes may lie in.

    Its server is where no other test's is looked for, which would take the port of one that was killed.
    """
    state = Path(tempfile.mkdtemp(prefix="coopr-outage-"))
    state.chmod(0o711)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "COOPR_STATE_DIR": str(state), "PREFECT_SERVER_API_PORT": str(free_port())}
    yield environment
    run(environment, "server", "stop")
    shutil.rmtree(state, ignore_errors=True)


def held_catalog(folder: Path, flag: Path) -> str:
    """A catalog whose service is installed when the test touches the flag."""
    return write_catalog(folder, {"slow": service(install=until(flag), configure="true", start="true")})


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "coopr_cli", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)


def server_of(environment: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = json.loads(Path(environment["COOPR_STATE_DIR"], "server.json").read_text())
    return found


def store_of(environment: dict[str, str]) -> Store:
    return Store.open(f"sqlite:///{environment['COOPR_STATE_DIR']}/coopr.db")


def creating(environment: dict[str, str], name: str, catalog: str) -> subprocess.Popen[str]:
    """A create whose slow task runs."""
    words = [sys.executable, "-m", "coopr_cli", "create", name, "--catalog", catalog, "-t", "tiny", "-n", "1", "-y"]
    pipe = subprocess.PIPE
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=environment)
    assert command.stderr is not None
    assert any(" BOOTSTRAP " in line for line in command.stderr), f"it ended with {command.wait()}"
    with store_of(environment) as store:
        (job,) = [job for cluster in store.clusters() if cluster.name == name for job in store.jobs(cluster.id)]
        (install,) = [task.id for task in store.tasks(job.id) if task.action == "INSTALL"]
        wait_for(lambda: store.task(install).state is TaskState.RUNNING, "its slow task runs")
    return command


def said(command: subprocess.Popen[str]) -> list[str]:
    """What it says on stderr to its end, without the progress."""
    assert command.stderr is not None
    lines = [line.rstrip() for line in command.stderr if not line.startswith("[")]
    command.wait()
    return lines


def test_our_server_is_started_again_and_the_run_goes_on(installation: dict[str, str], tmp_path: Path) -> None:
    killed = Path(installation["COOPR_STATE_DIR"], "killed")  # where nodes may look
    command = creating(installation, "revived", held_catalog(tmp_path, killed))
    before = server_of(installation)
    os.kill(before["pid"], signal.SIGKILL)
    killed.touch()
    assert (said(command), command.returncode) == ([], 0)
    after = server_of(installation)
    assert after["port"] == before["port"]
    assert after["pid"] != before["pid"]
    assert run(installation, "delete", "-y", "revived").returncode == 0


def test_a_server_gone_for_good_is_one_message_and_a_job_that_can_be_resumed(
    installation: dict[str, str], tmp_path: Path
) -> None:
    noticed = Path(installation["COOPR_STATE_DIR"], "noticed")
    command = creating(installation, "cut-off", held_catalog(tmp_path, noticed))
    server = server_of(installation)
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(server["pid"], signal.SIGKILL)
        _take(another, server["port"])
        wait_for(lambda: server_of(installation)["port"] != server["port"], "ours is started elsewhere", 120)
        wait_for(lambda: run(installation, "server", "status").returncode == 0, "it answers", 120)
        time.sleep(5)  # and the job, which has waited for just that, takes note of it
        noticed.touch()
        first, *others = said(command)
    assert command.returncode == 4
    assert first.startswith(f"Error: the Prefect server at http://127.0.0.1:{server['port']}/api is gone: ")
    assert all(line.startswith("  hint: ") for line in others)
    with store_of(installation) as store:
        job = store.jobs(store.cluster("cut-off").id)[0]
        assert job.state is JobState.INTERRUPTED, job.message
        assert {t.state for t in store.tasks(job.id)} == {TaskState.SUCCEEDED, TaskState.WAITING}
        assert [t.state for t in store.tasks(job.id) if t.action == "INSTALL"] == [TaskState.SUCCEEDED]
        assert run(installation, "retry", "cut-off").returncode == 0
        assert store.job_state(job.id) is JobState.SUCCEEDED
    assert run(installation, "delete", "-y", "cut-off").returncode == 0


def test_why_a_server_is_gone_is_told_also_when_the_job_was_over_before(
    installation: dict[str, str], tmp_path: Path
) -> None:
    killed = Path(installation["COOPR_STATE_DIR"], "killed-again")
    command = creating(installation, "over", held_catalog(tmp_path, killed))
    server = server_of(installation)
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(server["pid"], signal.SIGKILL)
        _take(another, server["port"])
        killed.touch()
        first, *_ = said(command)
    assert command.returncode == 4
    before, after = (f"http://127.0.0.1:{port}/api" for port in (server["port"], server_of(installation)["port"]))
    reason = f"it was started again, but another has its port: it is at {after}"
    assert first == f"Error: the Prefect server at {before} is gone: {reason}"
    with store_of(installation) as store:
        assert store.jobs(store.cluster("over").id)[0].state is JobState.SUCCEEDED
    assert run(installation, "delete", "-y", "over").returncode == 0


def _take(another: socket.socket, port: int) -> None:
    """Listen on the port as soon as it is free."""
    deadline = time.monotonic() + 30
    while True:
        try:
            another.bind(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        else:
            another.listen()
            return
