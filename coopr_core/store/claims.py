"""Which process works on a job, and whether it still lives.

Promise: a claim is called dead only when it certainly is: its process was on this machine, in this boot and this
process namespace, and is gone, or its number belongs to another process now. For every other claim the heartbeat
decides. Costs one look at the process table.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from functools import lru_cache
from pathlib import Path

HEARTBEAT_SECONDS = 10
"""How often a worker should show itself."""

STALE_SECONDS = 60
"""After how long without a heartbeat a claim may be taken over."""


def claimant() -> str:
    """How this process signs its claims: ``<host>:<pid>:<machine, boot and start of the process>``."""
    return _claim_of(os.getpid())


@lru_cache(maxsize=1)
def _claim_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_place()}-{_start(pid)}"


def shown(claimed_by: str) -> str:
    """Return a claim as people read it: process and host."""
    host, _, rest = claimed_by.partition(":")
    pid = rest.partition(":")[0]
    return f"process {pid} on {host}" if pid else claimed_by


def is_dead(claimed_by: str) -> bool:
    """Tell whether the process behind a claim has certainly ended."""
    _, _, rest = claimed_by.partition(":")
    pid, _, identity = rest.partition(":")
    place, _, start = identity.partition("-")
    if not pid.isdigit() or place != _place():
        return False
    return _start(int(pid)) not in (start, None)


def _place() -> str:
    """Identify this machine, in this boot, in this process namespace, as far as the system tells."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _start(pid: int) -> str | None:
    """When a process started, on a clock that nobody sets; empty when it has ended, None when we may not see it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        import psutil
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None if psutil.pid_exists(pid) else ""
