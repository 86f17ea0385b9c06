"""Watching processes and waiting for what they do.

A process that has ended counts as gone although nobody has collected it: in a container without an init nobody does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from coopr_core.settings import load_settings


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """What the condition gives, as soon as it gives something; fails after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return value


def alive(pid: int) -> bool:
    """Whether the process has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def of_machines(cluster_id: str, node: int | None = None) -> list[psutil.Process]:
    """The processes that work in the folders of a cluster's local machines, or of one node's, of this test's store.

    Only of this store: in the tests that run beside this one, cluster ids and node numbers are the same.
    """
    machine = f"{cluster_id}-" if node is None else f"{cluster_id}-{node}-"
    below = str(load_settings().state_dir / "local" / "nodes" / machine)
    return [p for p in psutil.process_iter(["cwd", "name"]) if str(p.info["cwd"] or "").startswith(below)]


def paths_below(folder: Path) -> list[Path]:
    """The files and folders below a folder in which others work: what goes while we look is not there."""
    return [Path(place, name) for place, folders, files in os.walk(folder) for name in folders + files]


def files_with(paths: Iterable[Path], *texts: bytes) -> list[Path]:
    """The files among the paths in which one of the texts stands."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if any(text in content for text in texts):
                    found.append(path)
    return found


def sleeping(seconds: str) -> list[psutil.Process]:
    """The processes of this test run that sleep that long; tests tell theirs by an odd number.

    Root's nodes run as nobody; what another user's test run sleeps is none of ours.
    """
    wanted = [p for p in psutil.process_iter(["cmdline", "uids"]) if p.info["cmdline"] == ["sleep", seconds]]
    return [p for p in wanted if not 1000 <= p.info["uids"].real < 60000 or p.info["uids"].real == os.getuid()]
