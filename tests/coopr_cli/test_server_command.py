"""`coopr server` and `coopr deploy`: other programs talk to the server by what they print, which has no password."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Coopr, start

from coopr_core.settings import load_settings
from flows.connection.password import password
from flows.server import ServerInfo

HELLO = "from prefect import get_client\nwith get_client(sync_client=True) as c: print(c.read_flows() is not None)"


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str], prefect_server: ServerInfo) -> Coopr:
    return Coopr(capsys)


def test_status_says_where_the_password_is_and_prints_it_nowhere(coopr: Coopr, prefect_server: ServerInfo) -> None:
    secret = password(load_settings().state_dir)
    shown = coopr("server", "status")
    assert str(prefect_server.password_file) in shown.out
    told = coopr("server", "status", "-o", "json")
    assert told.json["password_file"] == str(prefect_server.password_file)
    assert told.json["warning"] == ""
    assert secret not in shown.out + shown.err + told.out


def test_any_program_is_let_in_by_the_environment_that_is_handed_to_it(prefect_server: ServerInfo) -> None:
    nothing = dict.fromkeys(("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"), "")
    process = start("server", "env", sys.executable, "-c", HELLO, env={**nothing, "HTTP_PROXY": "http://127.0.0.1:9"})
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out.strip()) == (0, "True"), err
    process = start("server", "env", "no-such-program", "--flag")
    assert "cannot run no-such-program" in process.communicate(timeout=60)[1]
    assert process.returncode == 8


def test_a_shell_takes_the_environment_over_without_seeing_the_password(
    prefect_server: ServerInfo, tmp_path: Path
) -> None:
    printed = start("server", "env", env={"HTTPS_PROXY": "http://127.0.0.1:9"}).communicate(timeout=60)[0]
    assert password(load_settings().state_dir) not in printed
    assert "127.0.0.1" in printed.partition("NO_PROXY=")[2]
    (tmp_path / "environment").write_text(printed)
    script = f". {tmp_path}/environment && {sys.executable} -c '{HELLO}'"
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_deploy_prints_a_workers_command_that_has_no_password(coopr: Coopr) -> None:
    shown = coopr("deploy")
    assert re.search(r"^Run them with: coopr server env prefect worker start --pool \S+$", shown.out, re.MULTILINE)
    assert password(load_settings().state_dir) not in shown.out + shown.err
