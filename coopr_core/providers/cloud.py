"""A provider with the care every provider needs: batches, one rate, one poll, SSH that answers with the very key.

A ``Cloud`` is one account of one provider. Tasks call it for one machine each, as if they were alone. The same account
is the same ``Cloud`` for all who use it in this process at a time; ``Clouds`` are those of one cluster, whose machines
may come from several.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from coopr_core.errors import (
    CooprError,
    Interrupted,
    MachineFailed,
    MachineGone,
    Throttled,
    TimedOut,
    Unreachable,
    WrongHostKey,
)
from coopr_core.providers.batches import Batches, Stopped, never
from coopr_core.providers.contract import (
    Account,
    Found,
    Machine,
    MachineRequest,
    MachineState,
    Outcome,
    Provider,
    Status,
)
from coopr_core.providers.handshake import look
from coopr_core.providers.limits import REFUSALS, ProviderLimits, RateLimit
from coopr_core.providers.polling import Polling
from coopr_core.providers.scope import Attached, Scope

LOOK_SECONDS = 60.0
"""How long a machine that ran before is waited for when it has stopped answering."""

_SETTLED = (MachineState.READY, MachineState.STOPPED, MachineState.FAILED, MachineState.GONE)
_AFTER_REVIVAL = (MachineState.READY, MachineState.FAILED, MachineState.GONE)
_SSH_PAUSE = 1.0


class _Calls:
    """The calls of one account, at its rate; they do not know their cloud, so that it goes with its last user."""

    def __init__(self, provider: Provider, rate: RateLimit) -> None:
        self._provider = provider
        self._rate = rate

    def describe(self, machines: Sequence[Machine], stopped: Stopped) -> Iterable[Status]:
        """Look at machines; one is not READY before it is known where and as whom its SSH server answers."""
        pinned = {machine.token for machine in machines if machine.host_keys}
        statuses = self._rate.call(lambda: self._provider.describe(machines), stopped)
        return [_as_known(status, status.machine.token in pinned) for status in statuses]

    def create(self, requests: Sequence[MachineRequest], stopped: Stopped) -> Sequence[Machine | BaseException]:
        """Send a batch, and again what of it was throttled."""
        answers: dict[str, Machine | BaseException] = {}
        asked = list(requests)
        for _ in range(REFUSALS):
            try:
                outcomes = self._outcomes(asked, stopped)
            except CooprError as error:  # what was accepted before stays accepted
                answers |= {request.token: error for request in asked}
                break
            answers |= {token: outcome.machine or _error_of(outcome, token) for token, outcome in outcomes.items()}
            asked = [request for request in asked if isinstance(answers[request.token], Throttled)]
            if not asked:
                break
            self._rate.refused(next(a for r in asked if isinstance(a := answers[r.token], Throttled)))
        return [answers[request.token] for request in requests]

    def _outcomes(self, requests: Sequence[MachineRequest], stopped: Stopped) -> Mapping[str, Outcome]:
        outcomes = self._rate.call(lambda: self._provider.create(requests), stopped)
        answered = {request.token: outcome for request, outcome in zip(requests, outcomes, strict=False)}
        return {request.token: answered.get(request.token, Outcome()) for request in requests}

    def delete(self, machines: Sequence[Machine], stopped: Stopped) -> Sequence[BaseException | None]:
        left = self._rate.call(lambda: self._provider.delete(machines), stopped)
        return [left.get(machine.token) for machine in machines]


class Cloud:
    """One account of one provider. Safe to use from many threads."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.rate = RateLimit(self.limits.calls_per_second)
        size, pause = self.limits.batch_size, self.limits.gather_seconds
        calls = _Calls(provider, self.rate)
        self._creates = Batches(calls.create, size, pause)
        self._deletes = Batches(calls.delete, size, pause)
        self._polling = Polling(calls.describe, self.limits)

    @property
    def limits(self) -> ProviderLimits:
        """How much at once and how fast it may be asked."""
        return self.provider.limits

    def check(self) -> Account:
        """Ask who we are there. Raises ``Denied`` when we are nobody."""
        return self.rate.call(self.provider.check, tries=1)

    def prepare(self, scope: Scope, record: Callable[[Attached], None]) -> tuple[Attached, ...]:
        """Make what the machines of a cluster need beside themselves; ``record`` hears of each before it is made."""

        def make() -> dict[tuple[str, str], Attached]:
            made = {}
            for thing in self.provider.prepare(scope):
                thing = replace(thing, cluster_id=scope.cluster_id)
                record(thing)
                made[thing.kind, thing.name] = thing
            return made

        return tuple(self.rate.call(make).values())

    def create(self, request: MachineRequest, stopped: Stopped = never) -> Machine:
        """Ask for a machine, together with others that are asked for just now: accepted, not yet usable."""
        machine = self._creates.ask(request, stopped)
        if self.provider.takes_user_data and request.host_key is not None and not machine.host_keys:
            machine = replace(machine, host_keys=(request.host_key.public,))
        return machine

    def confirm(self, machine: Machine, *, within: float = LOOK_SECONDS, stopped: Stopped = never) -> Machine:
        """Wait until the machine is usable: addresses known, and SSH answers with the very key.

        Also for a machine that stopped answering: it is started again if it is stopped. Raises ``MachineFailed``,
        ``MachineGone`` or ``NoCapacity`` only when that is certain; ``Unreachable`` or ``TimedOut`` when it was looked
        at and is not usable yet; anything else when it could not be looked at. ``within`` is in seconds, 0 for ever.
        """
        began = time.monotonic()
        status = self._polling.wait(machine, _SETTLED, within, stopped)
        if status.state is MachineState.STOPPED:
            self.rate.call(lambda: self.provider.revive(status.machine), stopped)
            left = max(0.01, began + within - time.monotonic()) if within else 0.0
            status = self._polling.wait(machine, _AFTER_REVIVAL, left, stopped)
        _refuse_lost(status)
        ready = status.machine if status.machine.host_keys else replace(status.machine, host_keys=machine.host_keys)
        left = began + within - time.monotonic() if within else self.limits.answers_within
        self._answers(ready, min(self.limits.answers_within, max(left, 0.0)), stopped)
        return ready

    def _answers(self, machine: Machine, within: float, stopped: Stopped) -> None:
        """Wait until SSH answers with a pinned key; behind a gateway, whoever connects sees to it."""
        if machine.gateway is not None or machine.reached_by != "ssh":
            return None
        until = time.monotonic() + within
        while True:
            try:
                return look(machine)
            except Unreachable as error:
                # An image's own keys may answer until cloud-init has brought the one that was made for the machine.
                if isinstance(error, WrongHostKey) and not self.provider.takes_user_data:
                    raise
                if time.monotonic() + _SSH_PAUSE > until:
                    raise
            if stopped():
                raise Interrupted(f"stopped while waiting for SSH on {machine.provider_id}")
            time.sleep(_SSH_PAUSE)

    def delete(self, machine: Machine) -> None:
        """Delete a machine and all that runs on it, together with others that are deleted just now; gone is fine."""
        self._deletes.ask(machine)

    def release(self, scope: Scope, attached: Sequence[Attached]) -> None:
        """Remove what ``prepare`` made; gone is fine."""
        if attached:
            self.rate.call(lambda: self.provider.release(scope, attached))

    def find(self, scope: Scope) -> Found:
        """Find everything that carries the tags of the scope. Raises ``Throttled`` at once."""
        return self.rate.call(lambda: self.provider.find(scope), tries=1)


def _error_of(outcome: Outcome, token: str) -> CooprError:
    if outcome.error is not None:
        return outcome.error
    return CooprError(f"the provider did not say what became of the request {token}", hint="it may be sent again")


def _as_known(status: Status, is_pinned: bool) -> Status:
    """Return the status, PENDING in place of READY as long as the machine cannot be connected to safely."""
    machine = status.machine
    if status.state is not MachineState.READY or machine.reached_by != "ssh":
        return status
    if machine.address and (machine.host_keys or is_pinned):
        return status
    lacks = "host key" if machine.address else "address"
    return replace(status, state=MachineState.PENDING, reason=f"it runs, but its {lacks} is not known yet")


def _refuse_lost(status: Status) -> None:
    name = f"machine {status.machine.provider_id} of node {status.machine.node}"
    reason = f": {status.reason}" if status.reason else ""
    if status.state is MachineState.GONE:
        raise status.error or MachineGone(f"{name} is gone{reason}", hint="`coopr replace` makes the node anew")
    if status.state is MachineState.FAILED:
        raise status.error or MachineFailed(f"{name} has failed{reason}")
    if status.state is not MachineState.READY:
        raise TimedOut(f"{name} is still {status.state}{reason}")


class Clouds:
    """The clouds that the machines of one cluster come from, by the name of the catalog's provider.

    Each is made when it is first asked for. Safe to use from many threads.
    """

    def __init__(self, main: str, load: Callable[[str], Cloud], others: Iterable[str] = ()) -> None:
        """Take ``main`` for the cluster's own provider, for what does not say which it is of."""
        self._main = main
        self._load = load
        self._names = tuple(dict.fromkeys((main, *others)))
        self._clouds: dict[str, Cloud] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, provider: Provider, name: str = "") -> Clouds:
        """Return the clouds of a cluster that has this one provider."""
        cloud = Cloud(provider)
        return cls(name, lambda asked: cloud)

    def __getitem__(self, provider: str) -> Cloud:
        name = provider or self._main
        with self._lock:
            if name not in self._clouds:
                self._clouds[name] = self._load(name)
            return self._clouds[name]

    @property
    def main(self) -> Cloud:
        """The cluster's own cloud."""
        return self[self._main]

    def named(self, others: Iterable[str] = ()) -> Mapping[str, Cloud]:
        """Return all clouds of the cluster, and those of ``others``, by the name of their provider; each once."""
        known: dict[int, tuple[str, Cloud]] = {}
        for name in dict.fromkeys((*self._names, *self._clouds, *others)):
            cloud = self[name]
            known.setdefault(id(cloud), (name or self._main, cloud))
        return dict(known.values())

    def all(self, others: Iterable[str] = ()) -> Sequence[Cloud]:
        """Return all clouds of the cluster, and those of ``others``."""
        return list(self.named(others).values())
