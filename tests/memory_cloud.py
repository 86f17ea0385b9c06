"""A cloud in memory that behaves as real ones do: it throttles, is full in places, answers in part, and takes its time.

Its machines have no SSH server. ``calls`` counts what it was asked; ``machines`` are there until they are deleted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from coopr_core.errors import CooprError, NoCapacity, Throttled
from coopr_core.providers.contract import (
    Account,
    Attached,
    Found,
    Machine,
    MachineRequest,
    MachineState,
    Outcome,
    Status,
)
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Scope
from coopr_core.providers.settings import NodeOptions, ProviderSettings


@dataclass
class Instance:
    """A machine of the cloud."""

    machine: Machine
    tags: Mapping[str, str]
    zone: str
    ready_at: float
    state: MachineState = MachineState.READY
    reason: str = ""


class MemoryCloud:
    """A provider with batches; every call counts against ``per_second`` before it is throttled."""

    settings_type: ClassVar[type[ProviderSettings]] = ProviderSettings
    options_type: ClassVar[type[NodeOptions]] = NodeOptions
    takes_user_data = False
    limits = ProviderLimits(batch_size=50, describe_size=100, poll_seconds=0.1, gather_seconds=0.05)

    def __init__(self, settings: Mapping[str, Any] | None = None, **behaviour: Any) -> None:
        self.per_second = 1e9
        self.room: dict[str, int] = {}
        self.ready_after = 0.0
        self.takes = 0.0
        self.forgets = 0
        self.kinds: tuple[str, ...] = ()
        self.errors: list[CooprError] = []
        vars(self).update(behaviour)
        self.calls: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.requests: list[MachineRequest] = []
        self.machines: dict[str, Instance] = {}
        self.attached: dict[tuple[str, str], Attached] = {}
        self._lock = threading.Lock()
        self._allowance, self._counted = 1.0, time.monotonic()

    def _enter(self, call: str) -> None:
        with self._lock:
            now = time.monotonic()
            most = max(1.0, self.per_second / 4)
            self._allowance = min(most, self._allowance + (now - self._counted) * self.per_second)
            self._counted = now
            self.calls[call] += 1
            if self._allowance < 1:
                self.calls["throttled"] += 1
                raise Throttled("Request limit exceeded")
            self._allowance -= 1
        time.sleep(self.takes)

    def check(self) -> Account:
        self._enter("check")
        return Account("account 12345", ("create", "delete"), ("release",))

    def prepare(self, scope: Scope) -> Iterator[Attached]:
        for kind in self.kinds:
            self._enter("prepare")
            thing = Attached(kind, scope.name(kind), cluster_id=scope.cluster_id)
            yield thing
            thing = replace(thing, provider_id=f"{kind}-1")
            self.attached[thing.kind, thing.name] = thing
            yield thing

    def create(self, requests: Sequence[MachineRequest]) -> Sequence[Outcome]:
        self._enter("create")
        with self._lock:
            self.sizes.append(len(requests))
            self.requests.extend(requests)
            if self.errors:
                raise self.errors.pop(0)
            return [self._made(request) for request in requests]

    def _made(self, request: MachineRequest) -> Outcome:
        if request.token in self.machines:
            return Outcome(self.machines[request.token].machine)
        zone = request.placement.zone
        if self.room.get(zone, 1) <= 0:
            return Outcome(error=NoCapacity(f"no room in zone {zone}", placement=request.placement))
        if zone in self.room:
            self.room[zone] -= 1
        name = f"i-{len(self.requests)}-{len(self.machines)}"
        machine = Machine(request.token, name, request.cluster_id, request.node, reached_by="none")
        self.machines[request.token] = Instance(machine, request.tags, zone, time.monotonic() + self.ready_after)
        return Outcome(machine)

    def describe(self, machines: Sequence[Machine]) -> Sequence[Status]:
        self._enter("describe")
        with self._lock:
            shown = machines[: len(machines) - self.forgets] if len(machines) > self.forgets else machines
            return [self._status(machine) for machine in shown]

    def _status(self, machine: Machine) -> Status:
        instance = self.machines.get(machine.token)
        if instance is None:
            return Status(machine, MachineState.GONE)
        if time.monotonic() < instance.ready_at:
            return Status(machine, MachineState.PENDING, "booting")
        number = machine.node - 1000
        address = f"10.0.{number // 250}.{number % 250 + 1}"
        ready = replace(instance.machine, addresses={"access_v4": address, "bind_v4": address})
        return Status(ready, instance.state, instance.reason)

    def revive(self, machine: Machine) -> None:
        self._enter("revive")
        self.machines[machine.token].state = MachineState.READY

    def delete(self, machines: Sequence[Machine]) -> Mapping[str, CooprError]:
        self._enter("delete")
        with self._lock:
            for machine in machines:
                self.machines.pop(machine.token, None)
        return {}

    def release(self, scope: Scope, attached: Sequence[Attached]) -> None:
        self._enter("release")
        for thing in attached:
            self.attached.pop((thing.kind, thing.name), None)

    def find(self, scope: Scope) -> Found:
        self._enter("find")
        with self._lock:
            machines = tuple(i.machine for i in self.machines.values() if scope.includes(i.tags))
        attached = (t for t in self.attached.values() if scope.cluster_id in ("", t.cluster_id))
        return Found(machines, tuple(attached))


@dataclass
class Lines:
    """A task's log in memory."""

    lines: list[str] = field(default_factory=list)

    def write(self, line: str, level: int = 0) -> None:
        self.lines.append(line)
