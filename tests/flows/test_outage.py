"""A Prefect server that goes away in mid-run: ours comes back, and where it cannot the job can be resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

pytestmark = [pytest.mark.real]


@pytest.fixture(scope="module")
def installation(own_state: None) -> Iterator[dict[str, str]]:
    """The environment of an installation of its own, with its own server; a state folder nodes may lie in."""
    state = Path(tempfile.mkdtemp(prefix="coopr-outage-"))
    state.chmod(0o711)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "COOPR_STATE_DIR": str(state)}
    yield environment
    run(environment, "server", "stop")
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return write_catalog(tmp_path / "catalog", {"slow": service(install="sleep 4", configure="true", start="true")})


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "coopr_cli", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)


def server_of(environment: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = json.loads(Path(environment["COOPR_STATE_DIR"], "server.json").read_text())
    return found


def creating(environment: dict[str, str], name: str, catalog: str) -> subprocess.Popen[str]:
    """A create that has come to its slow task."""
    words = [sys.executable, "-m", "coopr_cli", "create", name, "--catalog", catalog, "-t", "tiny", "-n", "1", "-y"]
    pipe = subprocess.PIPE
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=environment)
    assert command.stderr is not None
    for line in command.stderr:
        if " BOOTSTRAP " in line:
            return command
    raise AssertionError(f"it ended with {command.wait()}")


def said(command: subprocess.Popen[str]) -> list[str]:
    """What it says on stderr to its end, without the progress."""
    assert command.stderr is not None
    lines = [line.rstrip() for line in command.stderr if not line.startswith("[")]
    command.wait()
    return lines


def test_our_server_is_started_again_and_the_run_goes_on(installation: dict[str, str], catalog: str) -> None:
    command = creating(installation, "revived", catalog)
    before = server_of(installation)
    os.kill(before["pid"], signal.SIGKILL)
    assert (said(command), command.returncode) == ([], 0)
    after = server_of(installation)
    assert after["port"] == before["port"]
    assert after["pid"] != before["pid"]
    assert run(installation, "delete", "-y", "revived").returncode == 0
