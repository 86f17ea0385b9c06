"""The processes of a node: how they are known, and how they are ended.

Promise: whatever was started on a node is found, daemons included, and nothing else is. Three marks are inherited by
everything a command starts: the limit on file locks (Linux keeps it through exec, setsid, chdir and a cleared
environment, enforces nothing by it, and each node's value is its own), a variable in the environment, and parentage:
descendants, and members of sessions that marked processes lead. Where the kernel keeps no such limit (macOS), a program
or working folder below the node's folder counts too, for processes without a terminal. Costs one small read per process
of the machine.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import psutil

from coopr_core.errors import CooprError
from coopr_core.process_start import start_stamp

MARK_VARIABLE = "COOPR_LOCAL_NODE"
"""The environment variable that names the node a process was started on."""

KERNEL_KEEPS_MARK = sys.platform == "linux"
"""Whether the limit on file locks can serve as a mark."""

_FILE_LOCKS = 10
_LIMITS_LINE = b"Max file locks"
_FORK_DESCRIPTORS = 64
_GRACE = 2.0
_PATIENCE = 20.0


class StillRunning(CooprError):
    """Processes of a node could not be ended."""

    code = "still-running"


@dataclass(frozen=True, slots=True)
class Marks:
    """What a node's processes are known by. ``limit`` 0 means that the kernel keeps no mark for this node."""

    limit: int
    secret: str
    root: str


@contextlib.contextmanager
def marked(limit: int, open_files: tuple[int, int]) -> Iterator[None]:
    """Let what is forked inside this block carry the mark, and these limits on open files instead of ours."""
    locks = resource.getrlimit(_FILE_LOCKS) if limit and KERNEL_KEEPS_MARK else None
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Forking needs some descriptors of its own: a server that uses more than the limit passes its own one on.
    room = open_files[0] - len(os.listdir("/dev/fd")) > _FORK_DESCRIPTORS
    try:
        if room:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files[0], files[1]))
        if locks is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(_FILE_LOCKS, (limit, locks[1]))
        yield
    finally:
        if locks is not None:
            resource.setrlimit(_FILE_LOCKS, locks)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


def new_limit(random: int) -> int:
    """Return a value for a node's mark out of a random number; 0 where it cannot be set."""
    if not KERNEL_KEEPS_MARK:
        return 0
    hard = resource.getrlimit(_FILE_LOCKS)[1]
    if hard == resource.RLIM_INFINITY:
        return 2**40 + random % 2**60
    return 1 + random % hard if hard > 2**32 else 0


def of_node(marks: Marks) -> list[psutil.Process]:
    """Every living process of a node, except ourselves and what we were started by."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    living = [p for p in psutil.process_iter() if p.pid not in ours and p.pid > 1]
    found = {p.pid for p in living if _carries(p.pid, marks) or (not marks.limit and _resembles(p, marks))}
    if not found:
        return []
    parents = dict(_parents(living))
    sessions = {p.pid: _session(p.pid) for p in living}
    while True:
        more = {
            pid
            for pid, parent in parents.items()
            if pid not in found and (parent in found or (sessions.get(pid) in found and sessions.get(pid) != 0))
        }
        if not more:
            break
        found |= more
    return _not_zombies(p for p in living if p.pid in found)


def of_session(leader: int, stamp: str, marks: Marks) -> list[psutil.Process]:
    """Return the node's living processes in the session that ``leader`` started, which may be gone itself.

    ``stamp`` is the leader's ``start_stamp``: another process that has its number now is left alone.
    """
    now = start_stamp(leader)
    if now and stamp and now != stamp:
        return []
    members = []
    for pid in psutil.pids():
        if _session(pid) == leader and _carries(pid, marks):
            with contextlib.suppress(psutil.Error):
                members.append(psutil.Process(pid))
    return _not_zombies(members)


def holding(descriptors: Iterable[int]) -> list[psutil.Process]:
    """Return the other processes that have one of these pipes of ours open; none where the kernel does not tell."""
    links = {f"pipe:[{os.fstat(descriptor).st_ino}]" for descriptor in descriptors if descriptor >= 0}
    found = []
    for pid in psutil.pids() if KERNEL_KEEPS_MARK and links else ():
        with contextlib.suppress(OSError, psutil.Error):
            if pid != os.getpid() and not links.isdisjoint(_open_links(pid)):
                found.append(psutil.Process(pid))
    return found


def _open_links(pid: int) -> Iterator[str]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{name}")


def ending(find: Callable[[], list[psutil.Process]], what: str, grace: float = _GRACE) -> Iterator[float]:
    """End what ``find`` finds, again and again until it finds nothing: TERM, a grace, then KILL.

    Yields the seconds to wait before the next step, so that threads and event loops can both drive it. Raises
    ``StillRunning`` naming what does not go.
    """
    start = time.monotonic()
    asked: set[tuple[int, float]] = set()
    pause = 0.005
    while processes := find():
        elapsed = time.monotonic() - start
        if elapsed > _PATIENCE:
            raise StillRunning(
                f"processes of {what} cannot be ended: {named(processes)}", hint="End them by hand and try again."
            )
        for process in processes:
            key = (process.pid, process.create_time())
            with contextlib.suppress(psutil.Error):
                if elapsed > grace:
                    process.kill()
                elif key not in asked:
                    asked.add(key)
                    if _has_terminal(process):
                        process.send_signal(signal.SIGHUP)
                    process.terminate()
                    process.send_signal(signal.SIGCONT)
        yield pause
        pause = min(pause * 2, 0.1)


def end(find: Callable[[], list[psutil.Process]], what: str, grace: float = _GRACE) -> None:
    """Wait for ``ending``."""
    for pause in ending(find, what, grace):
        time.sleep(pause)


def _carries(pid: int, marks: Marks) -> bool:
    """Whether a process has one of the marks that only a node's processes can have inherited."""
    if marks.limit:
        try:
            with open(f"/proc/{pid}/limits", "rb") as file:
                line = next(line for line in file if line.startswith(_LIMITS_LINE))
            if line[len(_LIMITS_LINE) :].split()[0] == str(marks.limit).encode():
                return True
        except (OSError, StopIteration, IndexError):
            pass
    try:
        if KERNEL_KEEPS_MARK:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"{MARK_VARIABLE}={marks.secret}".encode() in file.read().split(b"\0")
        return psutil.Process(pid).environ().get(MARK_VARIABLE) == marks.secret
    except (psutil.Error, OSError, ValueError):
        return False


def _resembles(process: psutil.Process, marks: Marks) -> bool:
    """Whether a process without a terminal works below the node's folder or has its program there."""
    try:
        if _has_terminal(process):
            return False
        places = [process.cwd(), process.exe()]
    except (psutil.Error, OSError):
        return False
    return any(place == marks.root or place.startswith(marks.root + "/") for place in places if place)


def _parents(processes: Iterable[psutil.Process]) -> Iterator[tuple[int, int]]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            yield process.pid, process.ppid()


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _has_terminal(process: psutil.Process) -> bool:
    try:
        return process.terminal() is not None
    except psutil.Error:
        return False


def _not_zombies(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    living = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.create_time()
                living.append(process)
    return living


def named(processes: Iterable[psutil.Process]) -> str:
    """Return the processes as messages name them: number and program."""
    return ", ".join(f"{process.pid} ({_name(process)})" for process in processes)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "?"
