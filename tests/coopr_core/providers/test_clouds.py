"""A provider with the care all of them need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from memory_cloud import MemoryCloud

from coopr_core.errors import CooprError, Denied, MachineFailed, MachineGone, TimedOut
from coopr_core.model.placement import Placement
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import (
    Gateway,
    Machine,
    MachineRequest,
    MachineState,
    Outcome,
    Status,
)
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Attached, Scope
from coopr_core.providers.simple import SimpleProvider

SCOPE = Scope("1234abcd", "00000001", "shop", "ssh-ed25519 AAAA")


def request(number: int = 1000) -> MachineRequest:
    return MachineRequest(f"token-{number}", SCOPE, number, f"shop1-{number}", Placement(zone="a"))


class Simple(SimpleProvider):
    """Four short methods, and nothing else."""

    def create_machine(self, request: MachineRequest) -> Machine:
        return Machine(
            request.token, "m", request.cluster_id, request.node, {"access_v4": "10.0.0.1"}, reached_by="none"
        )

    def machine_status(self, machine: Machine) -> Status:
        return Status(machine, MachineState.READY)

    def delete_machine(self, machine: Machine) -> None:
        if machine.provider_id == "stuck":
            raise CooprError("it is stuck")

    def find_machines(self, scope: Scope) -> list[Machine]:
        return [self.create_machine(request())]


def test_four_short_methods_are_a_provider() -> None:
    cloud = Cloud(Simple())
    machine = cloud.confirm(cloud.create(request()))
    assert machine.address == "10.0.0.1"
    assert cloud.find(SCOPE).machines == (machine,)
    cloud.delete(machine)
    with pytest.raises(CooprError, match="it is stuck"):
        cloud.delete(replace(machine, provider_id="stuck"))
    assert cloud.prepare(SCOPE, lambda thing: None) == ()
    cloud.release(SCOPE, [])
    assert "Simple" in cloud.check().who


def test_one_look_at_all_machines_serves_all_who_wait() -> None:
    provider = MemoryCloud(ready_after=0.6)
    cloud = Cloud(provider)
    with ThreadPoolExecutor(40) as threads:
        made = list(threads.map(lambda n: cloud.create(request(n)), range(1000, 1040)))
        ready = list(threads.map(cloud.confirm, made))
    assert len({machine.address for machine in ready}) == 40
    assert provider.calls["describe"] <= 20


def test_a_look_that_fails_is_made_again_but_not_for_ever_and_not_when_that_never_helps() -> None:
    provider = MemoryCloud()
    cloud = Cloud(provider)
    machine = cloud.create(request())
    answer = provider.describe
    errors: list[CooprError] = [CooprError("500"), CooprError("500")]

    def describe(machines: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return answer(machines)

    provider.describe = describe  # type: ignore[method-assign] # to fail on purpose
    assert cloud.confirm(machine).address
    errors += [CooprError("500")] * 3
    with pytest.raises(CooprError, match="500"):
        cloud.confirm(machine)
    errors.append(Denied("the key was revoked"))
    with pytest.raises(Denied):
        cloud.confirm(machine)


@pytest.mark.parametrize(("state", "error"), [("FAILED", MachineFailed), ("GONE", MachineGone)])
def test_a_lost_machine_is_told_with_the_providers_own_word(state: str, error: type[CooprError]) -> None:
    provider = MemoryCloud()
    cloud = Cloud(provider)
    machine = cloud.create(request())
    instance = provider.machines[machine.token]
    instance.state, instance.reason = MachineState(state), "Server.InternalError"
    with pytest.raises(error, match=r"machine i-\S+ of node 1000 .*: Server.InternalError"):
        cloud.confirm(machine)


def test_a_machine_the_provider_does_not_tell_of_is_not_gone() -> None:
    provider = MemoryCloud()
    provider.describe = lambda machines: []  # type: ignore[method-assign] # it has not heard of it yet
    cloud = Cloud(provider)
    with pytest.raises(TimedOut, match="its provider does not tell of it"):
        cloud.confirm(cloud.create(request()), within=0.3)


def test_outcomes_that_are_missing_are_errors_of_their_requests() -> None:
    provider = MemoryCloud()
    made = provider.create
    provider.create = lambda requests: made(requests)[:-1]  # type: ignore[method-assign] # one too few
    cloud = Cloud(provider)

    def ask(number: int) -> str:
        try:
            return cloud.create(request(number)).token
        except CooprError as error:
            return error.message

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(ask, (1000, 1001, 1002)))
    assert sum("did not say what became of the request" in answer for answer in answers) >= 1
    assert len(provider.machines) == 3


def test_a_plug_ins_own_bug_reaches_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = MemoryCloud()
    cloud = Cloud(provider)
    machine = cloud.create(request())
    monkeypatch.setattr(provider, "describe", lambda machines: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cloud.confirm(machine)
    monkeypatch.setattr(provider, "create", lambda requests: [Outcome()[0]])  # type: ignore[index] # a bug
    with pytest.raises(TypeError):
        cloud.create(request(1001))


def test_a_machine_without_address_or_host_key_is_not_usable() -> None:
    provider = Simple()
    cloud = Cloud(provider)
    machine = replace(provider.create_machine(request()), reached_by="ssh")
    with pytest.raises(TimedOut, match="its host key is not known yet"):
        cloud.confirm(machine, within=0.1)
    with pytest.raises(TimedOut, match="its address is not known yet"):
        cloud.confirm(replace(machine, addresses={}), within=0.1)


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        ProviderLimits(batch_size=0)


def test_machines_of_every_version_are_read() -> None:
    old = {
        "token": "t",
        "provider_id": "p",
        "cluster_id": "00000001",
        "node": 1000,
        "addresses": {"access_v4": "127.0.0.1", "bind_v4": "127.0.0.1"},
        "port": 2222,
        "ssh_user": "nobody",
        "host_keys": ["ssh-ed25519 AAAA"],
        "root": "/r",
    }
    machine = Machine.from_json(old)
    assert machine.to_json() == old
    more = replace(
        machine,
        gateway=Gateway("192.0.2.1", 22, "jump", ("ssh-ed25519 BBBB",)),
        reached_by="none",
        attached=(Attached("volume", "data", "vol-1"),),
    )
    again = Machine.from_json(more.to_json())
    assert again.to_json() == more.to_json()
    assert (again.gateway, again.attached) == (replace(more.gateway, host_keys=["ssh-ed25519 BBBB"]), more.attached)
