"""How much at once and how fast a provider may be asked; one adaptive rate for everybody who asks one account.

Promise: calls of all threads leave no faster than the rate. A refusal (``Throttled``) halves it for all of them and
keeps everybody away for as long as the provider wants; each success raises it again by a little, up to the limit.
Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989). Costs one lock per call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from coopr_core.errors import Interrupted, Throttled
from coopr_core.providers.batches import Stopped, never

R = TypeVar("R")

LONGEST_WAIT = 600.0
"""The most seconds that anything waits because a provider asks for it."""

REFUSALS = 8
"""How often one call is refused before whoever makes it hears of it."""

_SLOWEST = 0.2
_ASSUMED = 20.0
_STEPS = 20
_TOGETHER = 0.25
_NAP = 0.5


class ProviderLimits(BaseModel):
    """What a provider takes; a plug-in declares its own as ``limits``, and may work them out from its settings.

    ``usable_within``, ``answers_within``, ``poll_seconds`` and ``gather_seconds`` are in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(default=1, ge=1, description="Machines that one call makes or deletes.")
    describe_size: int = Field(default=1, ge=1, description="Machines that one call looks at.")
    calls_per_second: float | None = Field(default=None, gt=0, description="None: as fast as they come.")
    poll_seconds: float = Field(default=2.0, ge=0, description="Between two looks at what is not usable yet.")
    gather_seconds: float = Field(default=0.1, ge=0, description="How long a request waits for others to go with.")
    usable_within: float = Field(
        default=1800.0, ge=0, description="How long after it was accepted a machine may need to be usable; 0: for ever."
    )
    answers_within: float = Field(
        default=300.0, gt=0, description="How long the SSH server of a machine that is ready may need to answer."
    )


class RateLimit:
    """The rate at which one account is asked. Safe to use from many threads."""

    def __init__(self, calls_per_second: float | None = None) -> None:
        self._most = calls_per_second
        self._rate = calls_per_second
        self._lock = threading.Lock()
        self._next = 0.0
        self._closed_until = 0.0
        self._slowed = 0.0
        self._step = (calls_per_second or _ASSUMED) / _STEPS

    @property
    def rate(self) -> float | None:
        """Calls per second just now; None when there is no limit."""
        return self._rate

    def call(self, work: Callable[[], R], stopped: Stopped = never, tries: int = REFUSALS) -> R:
        """Do ``work`` when it is its turn, again when it is throttled. Raises ``Throttled`` after so many tries."""
        for left in range(tries, 0, -1):
            self.turn(stopped)
            try:
                result = work()
            except Throttled as error:
                self.refused(error)
                if left == 1:
                    raise
            else:
                self.succeeded()
                return result
        raise AssertionError("there is at least one try")

    def turn(self, stopped: Stopped = never) -> None:
        """Wait until the next call may leave. Raises ``Interrupted`` when ``stopped``."""
        while True:
            with self._lock:
                start = max(time.monotonic(), self._next, self._closed_until)
                self._next = start + (1 / self._rate if self._rate else 0.0)
            while (left := start - time.monotonic()) > 0:
                if stopped():
                    raise Interrupted("stopped while a provider wanted to be left alone")
                time.sleep(min(left, _NAP))
            if self._closed_until <= start:  # else somebody was refused while this call waited
                return

    def refused(self, error: Throttled) -> None:
        """Slow all down, and leave the provider alone for as long as it wants; once for calls that left together."""
        with self._lock:
            now = time.monotonic()
            if now - self._slowed >= _TOGETHER:
                self._slowed = now
                self._rate = max(_SLOWEST, (self._rate or _ASSUMED) / 2)
            wanted = max(min(error.retry_after or 0.0, LONGEST_WAIT), 1 / (self._rate or _ASSUMED))
            self._closed_until = max(self._closed_until, now + wanted)

    def succeeded(self) -> None:
        """Recover a little."""
        if self._rate == self._most:
            return
        with self._lock:
            if self._rate is None:
                return
            self._rate += self._step
            if self._rate >= (self._most or 2 * _ASSUMED):
                self._rate = self._most
