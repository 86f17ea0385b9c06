"""What tells a process from a later one that has its number: when it started, on a clock that nobody sets."""

from __future__ import annotations

import functools
import sys

_ON_LINUX = sys.platform == "linux"


def start_stamp(pid: int) -> str:
    """Return when the process started, whatever the clock says, as text for comparing; empty when it is gone."""
    if not _ON_LINUX:
        return _created(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = file.read().rpartition(b")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{_boot()}:{started.decode()}"


def _created(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""


@functools.cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        import psutil

        return str(psutil.boot_time())
