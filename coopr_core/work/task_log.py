"""Where a task's output goes: whole into its log file, line by line into the run's log, both without secrets.

The file gets every line at once. The run's log gets each line as a record of its own while the task speaks at a human
pace, and gathers lines into records of up to ``CHUNK`` characters when it chatters, so that a noisy install costs the
API one record a second instead of thousands. Whoever owns the log calls ``flush`` about once a second.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from coopr_core.folders import make_folder, private

Line = Callable[[str, str], None]
"""Takes a stream's name (``stdout``, ``stderr``) and a line without its end."""

BURST = 40
"""Lines that go out at once before gathering begins; the allowance grows again by ``PACE`` a second."""

PACE = 10.0
CHUNK = 32_000
TAIL = 20
"""How many of the last lines are kept for the summary of a failure."""

BACKLOG = 2_000_000
"""Characters that may wait for the run's log; beyond it lines are left to the file alone, and a record says so."""

_ADD = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_MODE = 0o600


class TaskLog:
    """The log of one attempt at a task; a context manager, and callable as a session's line sink."""

    def __init__(
        self,
        path: Path,
        task_id: str,
        heading: str,
        redact: Callable[[str], str],
        emit: Callable[[int, str], None],
    ) -> None:
        """Append to ``path`` below a ``heading``; ``emit(level, text)`` writes one record to the run's log."""
        self.path = path
        self._task_id = task_id
        self._redact = redact
        self._emit = emit
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._size = 0
        self._skipped = 0
        self._allowance = float(BURST)
        self._counted = time.monotonic()
        self._tail: deque[str] = deque(maxlen=TAIL)
        try:
            self._file = _opened(path)
            self._file.write(f"==> {datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {redact(heading)}\n")
        except OSError as error:
            self._file = Path(os.devnull).open("a", encoding="utf-8")  # noqa: SIM115 - closed in close
            emit(logging.WARNING, f"{task_id} | {path} cannot be written: {error.strerror}")

    def __call__(self, stream: str, line: str) -> None:
        """Take one line of output."""
        self.write(line)

    def write(self, line: str, level: int = logging.INFO) -> None:
        """Take one line; one above INFO goes to the run's log at once."""
        text = self._redact(line)
        with self._lock:
            if self._file.closed:
                return
            with contextlib.suppress(OSError):  # a full disk costs lines of the file, not the task
                self._file.write(f"{text}\n")
            self._tail.append(text)
            self._refill()
            if level > logging.INFO or (not self._waiting and self._allowance >= 1):
                self._send()
                self._allowance -= 1
                self._emit(level, f"{self._task_id} | {text}")
            elif self._size > BACKLOG:
                self._skipped += 1
            else:
                self._waiting.append(f"{self._task_id} | {text}")
                self._size += len(text)

    def flush(self) -> None:
        """Send what was gathered."""
        with self._lock:
            self._send()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, redacted."""
        with self._lock:
            return tuple(self._tail)

    def close(self) -> None:
        """Send what was gathered and end; later lines (of a command that was left behind) are dropped."""
        with self._lock:
            self._send()
            with contextlib.suppress(OSError):
                self._file.close()

    def __enter__(self) -> TaskLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refill(self) -> None:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted) * PACE)
        self._counted = now

    def _send(self) -> None:
        chunk: list[str] = []
        size = 0
        for line in self._waiting:
            if chunk and size + len(line) > CHUNK:
                self._emit(logging.INFO, "\n".join(chunk))
                chunk, size = [], 0
            chunk.append(line)
            size += len(line)
        if chunk:
            self._emit(logging.INFO, "\n".join(chunk))
        if self._skipped:
            self._emit(logging.INFO, f"{self._task_id} | ... {self._skipped} more lines are in {self.path}")
        self._waiting, self._size, self._skipped = [], 0, 0


def _opened(path: Path) -> TextIO:
    """Open a log to be added to, for its owner alone; its folder is made when it is missing. Raises ``OSError``."""
    try:
        descriptor = private(str(path), _ADD)
    except FileNotFoundError:
        make_folder(path.parent)
        descriptor = private(str(path), _ADD)
    file = os.fdopen(descriptor, "a", encoding="utf-8", errors="replace", buffering=1)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != _MODE:
            os.fchmod(descriptor, _MODE)
    except OSError:
        file.close()
        raise
    return file
