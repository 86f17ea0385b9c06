"""Waiting for machines: one look at all of them at a time, whoever waits.

Promise: however many threads wait, the provider is asked once per ``poll_seconds`` and ``describe_size`` machines; who
waits hears of a state that settles it, of an error, or, when the time is over, what was seen last. A look that fails is
made again, ``FAILED_LOOKS`` times, unless its error says that this never helps. One thread looks, and only while
somebody waits; where a call looks at one machine, everybody looks for themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from coopr_core.errors import CooprError, Interrupted, Retry, TimedOut
from coopr_core.providers.batches import Stopped, never
from coopr_core.providers.contract import Machine, MachineState, Status
from coopr_core.providers.limits import ProviderLimits

FAILED_LOOKS = 3

_NAP = 0.5


@dataclass(eq=False)
class Wait:
    """One machine somebody waits for, and what was seen of it."""

    machine: Machine
    settling: Collection[MachineState]
    began: float = field(default_factory=time.monotonic)
    status: Status | None = None
    seen_at: float = 0.0
    looks: int = 0
    error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.error is not None or (self.status is not None and self.status.state in self.settling)

    def see(self, status: Status | None) -> None:
        """Take note of a look, which may not have told of the machine."""
        self.looks += 1
        if status is not None:
            self.status, self.error, self.seen_at = status, status.error, time.monotonic()
            if status.state in (MachineState.FAILED, MachineState.GONE):
                self.error = None  # it says more of the state; the look did not fail

    def timed_out(self) -> TimedOut:
        """Return the error that says how long was waited, and what was seen last."""
        name = f"machine {self.machine.provider_id} of node {self.machine.node}"
        took = time.monotonic() - self.began
        if self.status is None:
            return TimedOut(f"{name} is not usable after {took:.0f} s; its provider does not tell of it")
        reason = f": {self.status.reason}" if self.status.reason else ""
        ago = time.monotonic() - self.seen_at
        return TimedOut(
            f"{name} is still {self.status.state} after {took:.0f} s; last seen {ago:.0f} s ago{reason}",
            hint="its provider's own pages may say more",
        )


class Polling:
    """The looks at the machines of one account. Safe to use from many threads."""

    def __init__(
        self, describe: Callable[[Sequence[Machine], Stopped], Iterable[Status]], limits: ProviderLimits
    ) -> None:
        """Take ``describe`` for looks at up to ``describe_size`` machines, at the rate that is allowed."""
        self._describe = describe
        self._limits = limits
        self._changed = threading.Condition()
        self._waits: list[Wait] = []
        self._runs = False
        self._failed = 0

    def wait(self, machine: Machine, settling: Collection[MachineState], within: float, stopped: Stopped) -> Status:
        """Wait for one of the settling states; it is looked at once at least, however little time there is.

        ``within`` is in seconds, 0 for ever. Raises ``TimedOut``, ``Interrupted``, or why it cannot be looked at.
        """
        wait = Wait(machine, settling)
        if self._limits.describe_size == 1:
            self._look_alone(wait, within, stopped)
        else:
            self._look_together(wait, within, stopped)
        if wait.error is not None:
            raise wait.error
        assert wait.status is not None
        return wait.status

    def _look_alone(self, wait: Wait, within: float, stopped: Stopped) -> None:
        while True:
            found = {status.machine.token: status for status in self._describe([wait.machine], stopped)}
            wait.see(found.get(wait.machine.token))
            if wait.is_over:
                return
            until = time.monotonic() + self._limits.poll_seconds
            if within and until > wait.began + within:
                raise wait.timed_out()
            _sleep(until, stopped)

    def _look_together(self, wait: Wait, within: float, stopped: Stopped) -> None:
        with self._changed:
            self._waits.append(wait)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="looks at machines", daemon=True).start()
            try:
                while not wait.is_over:
                    if stopped():
                        raise _stopped()
                    left = wait.began + within - time.monotonic() if within else _NAP
                    if left <= 0 and wait.looks:
                        raise wait.timed_out()
                    self._changed.wait(min(max(left, 0.01), _NAP))
            finally:
                self._waits.remove(wait)

    def _run(self) -> None:
        """Look at everything that is waited for, until nobody waits."""
        pause = self._limits.gather_seconds
        while True:
            time.sleep(pause)
            with self._changed:
                waits = [wait for wait in self._waits if not wait.is_over]
                if not waits:
                    self._runs = False
                    return
            for start in range(0, len(waits), self._limits.describe_size):
                self._look(waits[start : start + self._limits.describe_size])
            pause = self._limits.poll_seconds * (1 + self._failed)

    def _look(self, waits: Sequence[Wait]) -> None:
        error: BaseException | None = None
        seen: dict[str, Status] | None = None
        try:
            machines = [wait.machine for wait in waits]
            seen = {status.machine.token: status for status in self._describe(machines, never)}
            self._failed = 0
        except CooprError as failure:
            self._failed += 1
            if failure.retry is Retry.NEVER or self._failed >= FAILED_LOOKS:
                error, self._failed = failure, 0
        except Exception as failure:  # noqa: BLE001 - the edge of a plug-in, whose bug must reach who waits
            error = failure
        with self._changed:
            for wait in waits:
                if error is not None:
                    wait.error = error
                elif seen is not None:
                    wait.see(seen.get(wait.machine.token))
            self._changed.notify_all()


def _sleep(until: float, stopped: Stopped) -> None:
    while (left := until - time.monotonic()) > 0:
        if stopped():
            raise _stopped()
        time.sleep(min(left, _NAP))


def _stopped() -> Interrupted:
    return Interrupted("stopped while waiting for a machine")
