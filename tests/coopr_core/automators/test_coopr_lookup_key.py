"""``coopr_lookup_key`` finds any value of a task's JSON with any POSIX shell and awk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from coopr_core.automators.keys import key_lines

SCRIPT = files("coopr_core.automators").joinpath("coopr_lookup_key.sh").read_text()
SHELLS = {
    "sh": ["sh"],
    "dash": ["dash"],
    "bash": ["bash", "--posix"],
    "ksh": ["ksh"],
    "zsh": ["zsh", "--emulate", "sh"],
    "busybox": ["busybox", "sh"],
}
AWKS = ("awk", "mawk", "gawk", "original-awk", "busybox")

TREE: dict[str, Any] = {
    "config": {
        "cluster": {
            "quotes": """it's "quoted" `id` $(id)""",
            "lines": "one\ntwo\n\tthree\r\n.",
            "unicode": "čau 🐎",
            "percent": "100%25 %0A %s %% %2509",
            "backslash": "a\\nb\\ \\\\",
            "ampersand": "a&b\\&c",
            "empty": "",
            "port": 4222,
            "ratio": 0.1,
            "big": 123456789012345678901234567890,
            "yes": True,
            "no": False,
            "nothing": None,
            "list": ["a", {"b": [1, "ž"]}, "c d"],
            "none": {},
            "odd\tkey\n%": "odd",
            "a/b": "slash",
            "long": "x%\n" * 40000,
        },
        "clusterx": "not this",
    }
}


@pytest.fixture(params=[shell for shell in SHELLS if shutil.which(shell)])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return SHELLS[request.param]


@pytest.fixture(params=[awk for awk in AWKS if shutil.which(awk)])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH on which awk is the one asked for."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "awk").symlink_to(shutil.which(request.param) or "")
    return f"{tools}:{os.environ['PATH']}"


def task(folder: Path, tree: dict[str, Any]) -> dict[str, str]:
    (folder / "task.keys").write_bytes(key_lines(tree).encode())
    (folder / "task.json").write_text(json.dumps(tree))
    return {"COOPR_TASK_FILE": str(folder / "task.json")}


def lookup(shell: list[str], path: str, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*shell, "-c", SCRIPT, "coopr_lookup_key", *args], env={"PATH": path, **env}, capture_output=True
    )


def test_every_value_is_found_as_it_is(shell: list[str], path: str, tmp_path: Path) -> None:
    env = task(tmp_path, TREE)
    for key, value in TREE["config"]["cluster"].items():
        done = lookup(shell, path, env, f"config/cluster/{key}")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        assert (done.returncode, done.stdout.decode(), done.stderr) == (0, text + "\n", b""), key


def test_elements_and_subtrees_are_found(shell: list[str], path: str, tmp_path: Path) -> None:
    env = task(tmp_path, TREE)
    assert lookup(shell, path, env, "config/cluster/list/1/b/1").stdout.decode() == "ž\n"
    assert lookup(shell, path, env, "/config/cluster/list/2/").stdout == b"c d\n"
    assert json.loads(lookup(shell, path, env, "config").stdout) == TREE["config"]


def test_what_is_not_there_ends_with_1_and_wrong_use_with_2(shell: list[str], path: str, tmp_path: Path) -> None:
    env = task(tmp_path, TREE)
    for key in ("nothing", "config/cluster/por", "config/cluster/port/x", "config/cluster/.*", "config/cluster/list/3"):
        done = lookup(shell, path, env, key)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b""), key
    assert lookup(shell, path, env).returncode == 2
    assert lookup(shell, path, env, "").returncode == 2
    assert lookup(shell, path, env, "a", "b").returncode == 2
    assert lookup(shell, path, {}, "config").returncode == 2
    assert lookup(shell, path, {"COOPR_TASK_FILE": "/nowhere.json"}, "config").returncode == 2


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_unchanged(tmp_path: Path, text: str) -> None:
    env = task(tmp_path, {"key": text})
    assert lookup(["sh"], os.environ["PATH"], env, "key").stdout.decode() == text + "\n"
