"""The local provider needs no root: an ordinary user, even one without an entry in the user table, gets the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
import watching
from local_lab import Lab, passable_folder

import coopr_core
from coopr_core.providers.local import image
from coopr_core.providers.local.accounts import NodeUser

pytestmark = pytest.mark.both

NAMELESS = 54321


@pytest.fixture
def place() -> Iterator[Path]:
    folder = passable_folder("cp-user-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ordinary(place: Path) -> tuple[Path, dict[str, str], dict[str, object]]:
    """A Python, an environment and a user to run as, with our packages in reach."""
    packages = str(Path(asyncssh.__file__).parents[1])
    source = str(Path(coopr_core.__path__[0]).parent)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        "PYTHONPATH": os.pathsep.join([source, packages, str(Path(watching.__file__).parent)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "USER": "nameless",
    }
    if os.geteuid() != 0:
        return Path(sys.executable), environment, {}
    os.chown(place, NAMELESS, NAMELESS)
    user = NodeUser("nameless", NAMELESS, NAMELESS, switch=True)
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    python = next((path for path in image.candidates() if user.can_run([path, "-c", version])), None)
    if python is None:
        copy = image.copied_interpreter(place)
        python = copy
    options = user.popen_options()
    trial = [str(python), "-c", "import asyncssh, psutil, coopr_core.errors"]
    done = subprocess.run(trial, env=environment, cwd="/", capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        pytest.skip(f"needs an ordinary user: another user cannot read our packages ({done.stderr.strip()[-80:]})")
    return python, environment, options


def test_an_ordinary_user_has_nodes_that_run_as_that_user_and_do_not_meet_ours(
    lab: Lab, place: Path, ordinary: tuple[Path, dict[str, str], dict[str, object]]
) -> None:
    python, environment, options = ordinary
    machine = lab.node()
    script = str(Path(__file__).with_name("ordinary_user.py"))
    done = subprocess.run(
        [str(python), script, str(place / "state")],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,  # type: ignore[call-overload]  # the options of another user, or none
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["uid"] == str(os.geteuid() or NAMELESS)
    assert told["pip"].startswith("pip ")
    assert told["modes"]["nodes"] == told["modes"]["server"] == "0o700"
    assert told["modes"]["server.log"] == "0o600"
    assert told["running"]
    assert told["gone"]
    assert told["left"] == []
    assert len({*told["addresses"], machine.addresses["access_v4"]}) == 3
    assert lab.run(machine, "true").exited == 0
