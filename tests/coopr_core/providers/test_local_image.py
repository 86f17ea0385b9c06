"""The image of local nodes: a Python with pip that their user can really run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from local_lab import Lab, passable_folder

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.providers.local import image
from coopr_core.providers.local.accounts import NodeUser, node_user
from coopr_core.providers.local.records import remove_tree

pytestmark = pytest.mark.both

SUDO = Path(image.__file__).with_name("sudo.sh")


@pytest.fixture
def cache() -> object:
    folder = passable_folder("cp-image-")
    yield folder
    remove_tree(folder)


def works(folder: Path, user: NodeUser) -> bool:
    return user.can_run([folder / "bin" / "python3", "-m", "pip", "--version"])


def test_an_image_is_made_once(machine_cache: Path) -> None:
    user = node_user("nobody")
    first = image.ensure_image("python", machine_cache / "local", user)
    made = first.stat().st_ctime_ns
    assert image.ensure_image("", machine_cache / "local", user) == first
    assert first.stat().st_ctime_ns == made
    assert works(first, user)


@pytest.fixture
def no_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Debian without python3-venv: there is a venv module, but no pip to put into it."""
    real = image._quiet
    monkeypatch.setattr(image, "_quiet", lambda command: real(["/bin/false"] if "ensurepip" in command else command))


def test_an_interpreter_without_ensurepip_gets_our_pip(cache: Path, no_ensurepip: None) -> None:
    user = node_user("nobody")
    made = image.ensure_image("python", cache, user)
    assert works(made, user)
    assert user.can_run([made / "bin" / "pip", "--version"])


def test_where_no_python_of_the_machine_serves_ours_is_copied(
    cache: Path, no_ensurepip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "candidates", lambda: iter([Path("/nonexistent/python3")]))
    user = node_user("nobody")
    made = image.ensure_image("python", cache, user)
    assert works(made, user)
    script = "import sys, ssl, sqlite3, ensurepip; print(sys.base_prefix)"
    assert user.run([made / "bin" / "python3", "-c", script]).stdout.startswith(str(cache))


def test_an_image_half_made_is_made_anew(cache: Path, no_ensurepip: None) -> None:
    user = node_user("nobody")
    made = image.ensure_image("python", cache, user)
    (made / ".ready").unlink()
    (made / "bin" / "python3").unlink()
    assert image.ensure_image("python", cache, user) == made
    assert works(made, user)


def test_an_unknown_image_is_refused_with_the_known_ones_named(lab: Lab) -> None:
    with pytest.raises(InvalidInput, match="no image 'debian-12'; it has: python"):
        lab.provider().create(lab.request(image="debian-12"))
    assert lab.provider().machines("00000001") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_cache_the_nodes_user_cannot_reach_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(CooprError, match="cannot reach the folder of the nodes' images"):
        image.ensure_image("python", tmp_path, node_user("nobody"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_unknown_user_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'no-such-user' does not exist"):
        node_user("no-such-user")


@pytest.mark.parametrize(
    ("arguments", "output", "status"),
    [
        (["echo", "-n", "x"], "x", 0),
        (["-n", "echo", "x"], "x\n", 0),
        (["-u", "root", "-g", "wheel", "-H", "--", "echo", "-u"], "-u\n", 0),
        (["--user=root", "-E", "echo", "x"], "x\n", 0),
        (["-S", "-p", "Password: ", "sh", "-c", "exit 3"], "", 3),
        (["A=1", "B=2 3", "sh", "-c", 'echo "$A $B"'], "1 2 3\n", 0),
        (["-v"], "", 0),
        ([], "", 1),
        (["-i", "sh", "-c", "echo x"], "x\n", 0),
    ],
)
def test_the_sudo_of_a_node_runs_the_command_as_it_is(arguments: list[str], output: str, status: int) -> None:
    done = subprocess.run(["/bin/sh", str(SUDO), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.stdout, done.returncode) == (output, status)
