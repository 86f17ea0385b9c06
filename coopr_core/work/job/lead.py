"""How far a job may be ahead of the server that keeps records of its task runs.

The server (Prefect's) is told of task runs without waiting for it, and one that is slower than they are drops what it
cannot keep in mind, 10,000 messages: such task runs stay unfinished in its records for ever. A job of thousands of
quick tasks therefore looks, now and then, how far the server is, and waits for it. The server is asked once per
``EVERY`` tasks, and never by a job that cannot be too far ahead. One that does not say, or gets no further, is not
waited for. Never imports Prefect.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from coopr_core.work.halt import JobHalt

MOST_AHEAD = 1500
"""How many task runs the server may still have to record; each is three messages, and other jobs need room too."""

EVERY = 250
"""After how many task runs the server is asked how far it is."""

STUCK_SECONDS = 60.0
"""How long a server may get no further before what it has not recorded counts as lost."""


class Lead:
    """Keeps a job from running away from its server; used by the thread that hands out tasks."""

    def __init__(self, tasks: int, halt: JobHalt, recorded: Callable[[], int | None]) -> None:
        """Begin a job of so many tasks; ``recorded`` asks how many the server knows, None when it does not say."""
        self._recorded = recorded
        self._halt = halt
        self._begun = 0
        self._matters = tasks > MOST_AHEAD
        if self._matters:  # a run that is tried again has some already
            self._begun = recorded() or 0
        self._next = self._begun + EVERY

    def keep(self) -> None:
        """Count a task that is about to be handed out, and wait first if the server is too far behind."""
        if not self._matters:
            return
        self._begun += 1
        if self._begun >= self._next:
            self._await_server()
            self._next = self._begun + EVERY

    def _await_server(self) -> None:
        furthest, since = -1, time.monotonic()
        while not self._halt.halted:
            recorded = self._recorded()
            if recorded is None or self._begun - recorded <= MOST_AHEAD:
                return
            if recorded > furthest:
                furthest, since = recorded, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                self._begun = recorded
                return
            self._halt.wait(1)
