"""Daemons: started once, known by more than their pid, waited for, stopped for good.

Promise: ``start`` leaves exactly one process, ready to serve, whatever was there before (nothing, a stale record, a
reused pid, the daemon itself), or fails saying what it waited for, with the last lines of the log. ``stop`` returns
when the process and its group are gone. Polls every tenth of a second; every wait has its bound.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from coopr_node.account import hand_over, identity
from coopr_node.network import Endpoint, check_free
from coopr_node.task import DATA, Failed, say, write

POLL_S = 0.1
HEALTH_S = 30.0
"""How long a process that runs may take to show that it is well."""

LOG_LINES = 25
LOG_LIMIT_BYTES = 20_000_000


def wait_until(check: Callable[[], str], timeout: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until ``check`` returns "" rather than what is still missing; ``Failed`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while missing := check():
        if not alive():
            raise Failed(f"the process ended while waiting: {missing}")
        if time.monotonic() > deadline:
            raise Failed(f"gave up after {timeout:g} s: {missing}")
        time.sleep(POLL_S)


class Daemon:
    """One background process of the service; its record is ``run/NAME.json``, its output ``log/NAME.log``."""

    def __init__(self, name: str, folder: Path = DATA) -> None:
        self.name = name
        self.record = folder / "run" / f"{name}.json"
        self.log = folder / "log" / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The running process; None when it never ran, ended, or its pid now is another process's."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            pid, born = int(record["pid"]), str(record["born"])
        except (OSError, ValueError, KeyError):
            return None
        if self._child is not None and self._child.pid == pid:
            self._child.poll()
        return pid if born and _born(pid) == born else None

    def running(self) -> bool:
        """Whether the process runs."""
        return self.pid() is not None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        ready: Callable[[], str],
        timeout: float,
        listens: Sequence[Endpoint] = (),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start ``command`` unless it runs, and wait until ``ready`` returns "" rather than what is still missing."""
        began = time.monotonic()
        before = self.log.stat().st_size if self.log.exists() else 0
        if pid := self.pid():
            say(f"{self.name} already runs (pid {pid})")
        else:
            check_free(list(listens))
            before = self._spawn([str(part) for part in command], environment or {}, folder or DATA)
        try:
            wait_until(ready, timeout, self.running)
        except Failed as failure:
            raise Failed(f"{self.name}: {failure}\n{self._tail(before)}") from None
        say(f"{self.name} is ready after {time.monotonic() - began:.1f} s (pid {self.pid()})")

    def check(self, ready: Callable[[], str], timeout: float = HEALTH_S) -> None:
        """Wait until the running process is well; ``Failed`` at once when it does not run."""
        if not self.running():
            raise Failed(f"{self.name} does not run")
        try:
            wait_until(ready, timeout, self.running)
        except Failed as failure:
            raise Failed(f"{self.name}: {failure}") from None
        say(f"{self.name} is well (pid {self.pid()})")

    def send(self, number: int) -> bool:
        """Send the running process a signal, such as the one that makes it read its configuration; whether it runs."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)
        return pid is not None

    def stop(self, *, with_signal: int = signal.SIGTERM, timeout: float = 30.0) -> None:
        """End the process and its group: politely, after ``timeout`` seconds by force; gone already is a success."""
        pid = self.pid()
        if pid is None:
            say(f"{self.name} does not run")
        else:
            self._end(pid, with_signal, timeout)
            say(f"{self.name} has stopped (pid {pid})")
        self.record.unlink(missing_ok=True)

    def _spawn(self, command: list[str], environment: Mapping[str, str], folder: Path) -> int:
        """Start the process in a session of its own, so that it outlives ours; returns where its output begins."""
        hand_over(self.log.parent)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        with self.log.open("ab") as log:
            begins = log.tell()
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={**_inherited(), **environment},
                    start_new_session=True,
                    **identity(),
                )
            except OSError as error:
                raise Failed(f"{self.name} cannot be started: {error}") from None
        write(self.record, json.dumps({"pid": self._child.pid, "born": _born(self._child.pid), "command": command[0]}))
        return begins

    def _end(self, pid: int, with_signal: int, timeout: float) -> None:
        os.kill(pid, with_signal)
        try:
            wait_until(lambda: f"{self.name} (pid {pid}) has not ended" if self.running() else "", timeout)
        except Failed as failure:
            say(f"{failure}; it is killed now")
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        wait_until(lambda: f"{self.name} (pid {pid}) does not even end when killed" if self.running() else "", 10)

    def _tail(self, begins: int) -> str:
        with self.log.open("rb") as log:
            log.seek(max(begins, self.log.stat().st_size - 50_000))
            lines = log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"--- the last lines of {self.log}", *lines])


def _inherited() -> dict[str, str]:
    """Our environment without the config: a daemon gets its secrets by file, or not at all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COOPR_CONFIG_")}


def _born(pid: int) -> str:
    """When the process began, in words that no other process with the same pid can share; "" when it has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return "" if state[0] in "ZX" else f"{boot} {state[19]}"
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    found = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    ).stdout.split(None, 1)
    return found[1].strip() if len(found) == 2 and not found[0].startswith("Z") else ""
