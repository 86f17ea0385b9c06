"""Commands reach ``sh`` unchanged whichever login shell they are handed to first, and only what they say comes back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_servers import AsyncServer, machine_at, running
from watching import alive, wait_for

from coopr_core.errors import CooprError, InvalidInput, NotFound, Unreachable
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.command import CommandTimedOut
from coopr_core.remote.keys import ensure_client_key
from coopr_core.remote.login_shell import NoLoginShell, through_any_shell
from coopr_core.remote.session import Session

USUAL = ("sh", "bash", "tcsh", "fish")
OTHERS = tuple(shell for shell in ("dash", "csh", "zsh", "ksh", "mksh", "busybox") if shutil.which(shell))
HOSTILE = [
    "it's",
    'quo"te',
    "hi!! !$ !x",
    "$HOME `id` $(id) ${x:-y}",
    r"back\slash \n \\ \' \0101 \c end\\",
    "two\nlines\n\tand a tab",
    "percent %s %% %b",
    "čau 🐎",
    "~ * ? [a] {a,b} <x> (y) ;&|#",
    "-n",
    "",
]


def installed(shell: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    return shell


def given_to(shell: str, line: str) -> subprocess.CompletedProcess[str]:
    words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    return subprocess.run([*words, line], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("shell", [*USUAL, *OTHERS])
def test_any_shell_passes_on_any_text(shell: str) -> None:
    line = through_any_shell('printf "<%s>" "$@"; exit 7', *HOSTILE)
    assert "\n" not in line
    ended = given_to(installed(shell), line)
    assert ended.stdout == "".join(f"<{text}>" for text in HOSTILE), ended.stderr
    assert (ended.returncode, ended.stderr) == (7, "")


@pytest.mark.parametrize("shell", [*USUAL, *OTHERS])
def test_any_shell_passes_on_scripts_of_many_lines(shell: str) -> None:
    script = "for i in 1 2; do\n  # a comment's quote\n  echo \"line $i!\"\ndone\ncat <<'END'\n\\$x 'y'\nEND\n"
    ended = given_to(installed(shell), through_any_shell(script))
    assert (ended.stdout, ended.stderr) == ("line 1!\nline 2!\n\\$x 'y'\n", "")


def test_what_no_command_can_hold_is_refused_and_odd_file_names_are_not() -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        through_any_shell("echo \0")
    line = through_any_shell('printf %s "$1" | od -An -tx1', "a\udcff")
    assert given_to("sh", line).stdout.split() == ["61", "ff"]


@pytest.fixture(scope="module", params=["tcsh", "fish"])
def talkative(
    request: pytest.FixtureRequest, key_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AsyncServer]:
    """A server whose user has such a login shell, with files that print whenever it starts."""
    shell = installed(request.param)
    home = tmp_path_factory.mktemp(shell)
    (home / ".config" / "fish").mkdir(parents=True)
    for name in (".tcshrc", ".config/fish/config.fish"):
        (home / name).write_text("echo Welcome to this machine\nsh -c 'echo mind the step >&2'\n")
    with running(AsyncServer(ensure_client_key(key_path), shell=shell, home=str(home))) as server:
        yield server


@pytest.fixture
def talking(access: NodeAccess, talkative: AsyncServer) -> Session:
    return access.session(machine_at(talkative.port, talkative.host_keys))


def test_a_command_says_only_what_it_says_itself(talking: Session) -> None:
    for text in HOSTILE:
        result = talking.run(f"printf %s {quoted(text)}; echo 'err!' >&2; exit 3")
        assert (result.stdout, result.stderr, result.exit_status) == (text, "err!\n", 3)
    silent = talking.run("true")
    assert (silent.stdout, silent.stderr, silent.tail) == ("", "", ())


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_files_come_and_go_unchanged_through_such_a_shell(talking: Session, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    path = f"{tmp_path}/it's a 'name'!"
    talking.put(content, path)
    assert talking.get(path) == content
    talking.put_files({"a!b": (b"x", 0o600)}, f"{tmp_path}/new")
    assert (tmp_path / "new" / "a!b").read_bytes() == b"x"
    received: list[bytes] = []
    assert talking.stream("cat; exit 4", content=[content], receive=received.append).exit_status == 4
    assert b"".join(received) == content
    with pytest.raises(NotFound):
        talking.get(f"{tmp_path}/missing")


def test_a_command_out_of_time_is_ended_there_too(talking: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut) as caught:
        talking.run(f"(sleep 600; true) & echo $! > {tmp_path}/pid; echo working; sleep 600", timeout=3)
    assert caught.value.tail == ("working",)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), "the command ends")


@pytest.mark.parametrize("status", [1, 0, 142])
def test_a_login_shell_that_runs_nothing_is_named_with_what_it_says(
    access: NodeAccess, key_path: Path, tmp_path: Path, status: int
) -> None:
    shell = tmp_path / "nologin"
    shell.write_text(f"#!/bin/sh\necho 'Please login as the user admin.'\nexit {status}\n")
    shell.chmod(0o755)
    with running(AsyncServer(ensure_client_key(key_path), shell=str(shell))) as server:
        session = access.session(machine_at(server.port, server.host_keys, user="root", token=f"t{status}"))
        doings = (
            lambda: session.run("true"),
            lambda: session.put(b"x", f"{tmp_path}/x"),
            lambda: session.get("/etc/hostname"),
            lambda: session.stream("true"),
        )
        for doing in doings:
            with pytest.raises(NoLoginShell, match=rf"root on node 1000 .*Please login as.*status {status}") as caught:
                doing()
            assert isinstance(caught.value, Unreachable)
            assert isinstance(caught.value, CooprError)
            assert "sshuser" in caught.value.hint
