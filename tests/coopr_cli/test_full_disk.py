"""A full disk, or one that is read only: one line that says so, and what is recorded can be looked at all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from store_samples import begin

from coopr_core.model.states import JobState
from coopr_core.store import Store
from coopr_core.store.failures import NotWritable, StoreFull

pytestmark = pytest.mark.both

READING = [
    ("list",),
    ("status",),
    ("status", "demo"),
    ("show", "demo"),
    ("tasks", "demo"),
    ("logs", "demo"),
    ("events", "demo"),
    ("usage",),
    ("quota",),
    ("ssh-config", "demo", "--help"),
]
WRITING = [
    ("protect", "demo"),
    ("extend", "demo", "2h"),
    ("quota", "default", "--nodes", "7"),
    ("delete", "demo", "-y"),
    ("retry", "demo"),
    ("server", "start"),
    ("plan", "--template", "nats", "-o", "{folder}/nats.plan"),
]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small disk of its own as state folder, with a cluster recorded on it, whose making was interrupted."""
    if os.geteuid():
        pytest.skip("needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("needs root that may mount")
    monkeypatch.setenv("COOPR_STATE_DIR", str(folder))
    monkeypatch.setenv("PREFECT_API_URL", "")
    try:
        with Store.open() as store:
            store.finish_job(str(begin(store).last_job), JobState.INTERRUPTED)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    free = os.statvfs(folder)
    (folder / "filling").write_bytes(b"x" * free.f_bavail * free.f_frsize)


def test_on_a_full_disk_what_is_recorded_can_be_looked_at_and_the_rest_is_one_line(disk: Path, coopr: Coopr) -> None:
    fill(disk)
    for words in READING:
        shown = coopr(*words)
        assert (shown.code, "Error" in shown.err) == (0, False), words
    assert coopr("list", "-o", "json").json[0]["name"] == "demo"
    for words in WRITING:
        refused = coopr(*(word.format(folder=disk) for word in words))
        assert refused.code == 1, words
        assert refused.err.count("Error: The disk is full") == refused.err.count("Error") == 1, words
    (disk / "filling").unlink()
    assert coopr("protect", "demo").code == 0


def test_on_a_read_only_disk_what_is_recorded_can_be_looked_at(disk: Path, coopr: Coopr) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for words in READING:
        assert coopr(*words).code == 0, words
    refused = coopr("protect", "demo")
    assert refused.code == 1
    assert refused.err.startswith("Error: The database ")


def test_what_a_killed_process_left_in_the_log_of_a_database_is_read_too(disk: Path) -> None:
    left = (
        "import os, signal, sys; from coopr_core.store import Store; store = Store.open();"
        "store.set_protected('00000001', True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", left], capture_output=True)
    assert (disk / "coopr.db-wal").stat().st_size
    (disk / "coopr.db-shm").unlink(missing_ok=True)
    fill(disk)
    with Store.open() as store:
        assert store.cluster("demo").protected
        with pytest.raises(NotWritable) as caught:
            store.set_protected("00000001", False)
    assert isinstance(caught.value, StoreFull)
