"""What keeps a job from starting anything more: one value, set in one place by whichever thread notices it.

Promise: whatever the order in which reasons come, the one that weighs most stands; ``LEADS_TO`` is the whole table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from coopr_core.errors import CooprError


class Halt(StrEnum):
    """Why a job starts nothing more."""

    NONE = "none"
    """Nothing stops it."""
    PAUSED = "paused"
    """Somebody paused it: what runs comes to its end, and it may go on."""
    FAILED = "failed"
    """A task failed for good: what runs comes to its end."""
    CUT_OFF = "cut off"
    """The server its tasks run under is gone: what runs on the nodes comes to its end."""
    STOPPED = "stopped"
    """The user stopped this process: what runs is ended."""
    ABORTED = "aborted"
    """Somebody aborted it, from any process: what runs is ended."""
    LOST = "lost"
    """Another process has it now: what runs is ended, and nothing more is recorded."""
    LEFT = "left"
    """It was paused, nothing of it runs any more, and it was let go of."""
    OVER = "over"
    """Its end is recorded."""


ENDING = frozenset({Halt.STOPPED, Halt.ABORTED, Halt.LOST})
"""What ends also what already runs."""

LEADS_TO: Mapping[Halt, frozenset[Halt]] = {
    Halt.NONE: frozenset({Halt.PAUSED, Halt.FAILED, Halt.CUT_OFF, *ENDING, Halt.OVER}),
    Halt.PAUSED: frozenset({Halt.NONE, Halt.FAILED, Halt.CUT_OFF, *ENDING, Halt.LEFT, Halt.OVER}),
    Halt.FAILED: frozenset({Halt.CUT_OFF, *ENDING, Halt.OVER}),
    Halt.CUT_OFF: frozenset({*ENDING, Halt.OVER}),
    Halt.STOPPED: frozenset({Halt.LOST, Halt.OVER}),
    Halt.ABORTED: frozenset({Halt.LOST, Halt.OVER}),
    Halt.LOST: frozenset({Halt.LEFT}),
    Halt.LEFT: frozenset(),
    Halt.OVER: frozenset(),
}
"""Which reason may follow which; any other is not taken note of."""


@dataclass(frozen=True, slots=True)
class Halted:
    """What stops a job at one moment.

    ``since`` is when what runs began to be ended, or else the reason came up (``time.monotonic``); ``cause`` is the
    error behind it, if there is one; ``hurried`` says that nobody wants to wait for what runs.
    """

    reason: Halt = Halt.NONE
    since: float = 0.0
    cause: CooprError | None = None
    hurried: bool = False

    @property
    def ends_what_runs(self) -> bool:
        """Whether commands on nodes are ended too."""
        return self.reason in ENDING

    def overdue(self, grace: float) -> bool:
        """Tell whether waiting for what runs should end: ``grace`` seconds are over, or nobody wants to wait."""
        return self.ends_what_runs and (self.hurried or time.monotonic() - self.since > grace)


class JobHalt:
    """The value of one job in one process. Safe to use from many threads."""

    def __init__(self, on_ending: Callable[[], None] = lambda: None) -> None:
        """``on_ending`` is called once, by whoever brings up the first reason to end what runs."""
        self._on_ending = on_ending
        self._changed = threading.Condition()
        self._now = Halted(since=time.monotonic())

    @property
    def now(self) -> Halted:
        """What stops the job now."""
        return self._now

    @property
    def reason(self) -> Halt:
        """Why the job starts nothing more."""
        return self._now.reason

    @property
    def halted(self) -> bool:
        """Whether the job starts nothing more."""
        return self._now.reason is not Halt.NONE

    def to(self, reason: Halt, cause: CooprError | None = None) -> bool:
        """Take note of a reason; False when it is the one that stands already, or weighs less than that."""
        with self._changed:
            before = self._now
            if reason not in LEADS_TO[before.reason]:
                return False
            since = before.since if before.ends_what_runs else time.monotonic()
            self._set(replace(before, reason=reason, since=since, cause=cause or before.cause))
        if reason in ENDING and not before.ends_what_runs:
            self._on_ending()
        return True

    def hurry(self) -> None:
        """Take note that nobody wants to wait for what runs."""
        with self._changed:
            self._set(replace(self._now, hurried=True))

    def wait(self, seconds: float) -> None:
        """Wait until something changes, ``seconds`` at most."""
        with self._changed:
            self._changed.wait(seconds)

    def _set(self, value: Halted) -> None:
        self._now = value
        self._changed.notify_all()
