"""The machines of a job's nodes: asked for, confirmed, given up, brought back, deleted.

The intended machine is written down before it is asked for, and found again by its tag; so is what is attached to a
cluster. A machine is given up only when its provider calls it failed or gone, or when it is not usable in its time: a
look that fails says nothing of it. Nodes of one cluster may come from several providers. Never imports Prefect.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from coopr_core.automators.contract import Result
from coopr_core.errors import CooprError, Interrupted, NoCapacity, OverQuota, Retry, TimedOut, Unreachable
from coopr_core.model.records import NodeRecord
from coopr_core.model.states import NodeState
from coopr_core.providers.cloud import Cloud, Clouds
from coopr_core.providers.contract import Machine, MachineRequest
from coopr_core.providers.host_keys import HostKey
from coopr_core.providers.scope import Attached, Scope
from coopr_core.providers.user_data import cloud_config
from coopr_core.work.patience import patiently

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.work.picture import ClusterPicture
    from coopr_core.work.task_log import TaskLog

SHORTEST_WAIT = 0.01


class Machines:
    """The machines of one job's nodes. Safe to use from many threads, one per node."""

    def __init__(
        self,
        picture: ClusterPicture,
        clouds: Clouds,
        access: NodeAccess,
        authorized_key: str,
        *,
        resumed: bool = False,
        host_key_seed: Callable[[], bytes] | None = None,
    ) -> None:
        """``resumed``: the job was begun before, maybe before the machines were last started.

        ``host_key_seed`` gives what host keys of machines are derived from; without it they make their own.
        """
        self._picture = picture
        self._clouds = clouds
        self._access = access
        self._host_key_seed = host_key_seed
        self._lock = threading.Lock()
        self._prepare_lock = threading.Lock()
        self._accepted_at: dict[int, float] = {}
        self._attached: dict[str, tuple[Attached, ...]] = {}
        self._found: dict[int, list[tuple[Cloud, Machine]]] | None = None
        cluster = picture.cluster
        self._scope = Scope(
            installation=picture.store.installation,
            cluster_id=cluster.id,
            cluster_name=cluster.name,
            authorized_key=authorized_key,
            owner=cluster.owner,
            expires_at=cluster.expires_at,
        )
        for number in picture.nodes if resumed else ():
            self.suspect(number)

    def suspect(self, number: int) -> None:
        """Have the provider look whether the node's machine is there before the next command runs on it."""
        if self._picture.node(number).machine is not None:
            self._access.suspect(self._picture.machine(number))

    def create(self, number: int, log: TaskLog, full: NoCapacity | None = None) -> Result:
        """Ask for the node's machine, whose token is on record before; where there is no room, elsewhere.

        Each place the node may be in is tried once, but not its own when that is known to be ``full``.
        """
        token = self._picture.store.intend_machine(self._picture.cluster.id, number)
        machine, others = None, self._picture.node(number).alternatives
        if full is None:
            try:
                machine = self._ask(number, token, log)
            except NoCapacity as error:
                full = error
        for other in others if full is not None else ():
            if self._access.stopped():
                raise Interrupted("stopped before another place was tried")
            log.write(f"{full}; trying {other.placement} instead", logging.WARNING)
            try:
                self._picture.place_elsewhere(number, other)
                machine = self._ask(number, self._picture.node(number).token, log)
                break
            except OverQuota as error:
                log.write(f"it may not be there: {error}", logging.WARNING)
            except NoCapacity as error:
                full = error
        if machine is None:
            assert full is not None
            raise full
        self._accepted_at[number] = time.monotonic()
        self._picture.record_machine(number, machine, NodeState.CREATED)
        log.write(f"machine {machine.provider_id} is accepted")
        return Result()

    def _ask(self, number: int, token: str, log: TaskLog) -> Machine:
        """Ask for a machine in the node's place as it is on record now."""
        node = self._picture.node(number)
        placement = node.placement
        cloud = self._cloud(number)
        where = f", zone {placement.zone}" if placement.zone else ""
        log.write(
            f"asking provider {placement.provider} for a machine: "
            f"flavor {placement.flavor}, image {placement.image}{where}"
        )
        return cloud.create(self._request(node, cloud, token), self._access.stopped)

    def _prepared(self, name: str, cloud: Cloud) -> tuple[Attached, ...]:
        """Have a provider make what machines of the cluster need beside themselves, once a job, recorded before."""
        with self._prepare_lock:
            if name not in self._attached:
                cluster, store = self._picture.cluster.id, self._picture.store
                self._attached[name] = cloud.prepare(
                    self._scope, lambda thing: store.record_attached(cluster, name, thing.to_json())
                )
            return self._attached[name]

    def _request(self, node: NodeRecord, cloud: Cloud, token: str) -> MachineRequest:
        key, text = None, ""
        if cloud.provider.takes_user_data:
            key = HostKey.derived(self._host_key_seed(), token) if self._host_key_seed else None
            text = cloud_config(
                host_name=node.host_name,
                ssh_user=node.ssh_user,
                authorized_key=self._scope.authorized_key,
                host_key=key,
            )
        return MachineRequest(
            token=token,
            scope=self._scope,
            node=node.number,
            host_name=node.host_name,
            placement=node.placement,
            ssh_user=node.ssh_user,
            host_key=key,
            user_data=text,
            attached=self._prepared(node.placement.provider, cloud),
        )

    def confirm(self, number: int, attempt: int, log: TaskLog) -> Result:
        """Wait for the machine; one that will not come up is replaced, so that none leaks (section 6)."""
        if self._picture.node(number).machine is None:
            self.create(number, log)
        elif attempt > 1:
            log.write("looking again whether the machine is usable")
        try:
            machine = self._confirmed(number)
        except CooprError as error:
            if not (reason := self._given_up(number, error)):
                raise
            log.write(f"{reason}: {error.message}; replacing it", logging.WARNING)
            lost = self._picture.machine(number)
            self._access.drop(lost)
            self._cloud(number).delete(lost)
            self._picture.record_machine(number, None, NodeState.PLANNED)
            self.create(number, log, error if isinstance(error, NoCapacity) else None)
            machine = self._confirmed(number)
        self._picture.record_machine(number, machine, NodeState.CONFIRMED)
        log.write(f"machine {machine.provider_id} answers at {machine.address}:{machine.port}")
        return Result(properties={"ipaddresses": dict(machine.addresses)})

    def _cloud(self, number: int) -> Cloud:
        return self._clouds[self._picture.node(number).placement.provider]

    def _confirmed(self, number: int) -> Machine:
        """Wait for the machine as long as its provider says that one may take, from when it was accepted."""
        cloud = self._cloud(number)
        within = cloud.limits.usable_within
        if within:
            within = max(SHORTEST_WAIT, within - self._age(number))
        machine = cloud.confirm(self._picture.machine(number), within=within, stopped=self._access.stopped)
        self._access.wait_behind_gateway(machine, cloud.limits.answers_within)
        return machine

    def _age(self, number: int) -> float:
        """Return how many seconds ago the node's machine was accepted; the store knows of other processes'."""
        if number in self._accepted_at:
            return time.monotonic() - self._accepted_at[number]
        since = self._picture.store.machine_since(self._picture.cluster.id, number)
        return 0.0 if since is None else (datetime.now(UTC) - since).total_seconds()

    def _given_up(self, number: int, error: CooprError) -> str:
        """Say why the machine whose confirmation raised ``error`` is not waited for any longer; empty when it is."""
        if error.retry is Retry.ELSEWHERE:
            return "its provider gives the machine up"
        within = self._cloud(number).limits.usable_within
        looked = isinstance(error, Unreachable | TimedOut)
        if looked and within and self._age(number) > within:
            return f"the machine is not usable {within:g} s after it was made"
        return ""

    def delete(self, number: int, log: TaskLog) -> Result:
        """Delete what there is of the node."""
        for machine in self.discard(number):
            log.write(f"machine {machine.provider_id} is deleted")
        return Result()

    def discard(self, number: int) -> list[Machine]:
        """Delete the node's machine and any other that carries its tag, and return them.

        One that carries the tag without being the node's is one the store lost sight of.
        """
        node = self._picture.node(number)
        known = [(self._cloud(number), Machine.from_json(node.machine))] if node.machine else []
        tokens = {machine.token for _, machine in known}
        gone = [*known, *((cloud, found) for cloud, found in self._tagged(number) if found.token not in tokens)]
        for cloud, machine in gone:
            self._access.drop(machine)
            cloud.delete(machine)
        self._picture.record_machine(number, None, NodeState.DELETED)
        return [machine for _, machine in gone]

    def usable(self, number: int, log: TaskLog) -> Machine:
        """Return the node's machine; confirmed again first when its connection was lost."""

        def revive(machine: Machine) -> Machine:
            log.write("the connection to the node was lost, or never made; looking whether it is there")
            machine = self._cloud(number).confirm(machine, stopped=self._access.stopped)
            self._picture.record_machine(number, machine, NodeState.CONFIRMED)
            return machine

        return self._access.present(self._picture.machine(number), revive)

    def delete_strays(self) -> list[Machine]:
        """Delete every machine that still carries the cluster's tag, whichever node it was for, and return them.

        What is attached to the cluster is released then.
        """
        deleted = []
        for name, cloud in self._named().items():
            found = patiently(partial(cloud.find, self._scope))
            for machine in found.machines:
                self._access.drop(machine)
                patiently(partial(cloud.delete, machine))
                deleted.append(machine)
            self._release(name, cloud, found.attached)
        return deleted

    def _release(self, name: str, cloud: Cloud, found: Iterable[Attached]) -> None:
        """Release what is attached to the cluster, on record or found, and forget it."""
        cluster, store = self._picture.cluster.id, self._picture.store
        recorded = [Attached.from_json(thing) for provider, thing in store.attached(cluster) if provider == name]
        things = {(thing.kind, thing.name): thing for thing in (*recorded, *found)}
        patiently(partial(cloud.release, self._scope, tuple(things.values())))
        for thing in recorded:
            store.forget_attached(cluster, name, thing.kind, thing.name)
        with self._prepare_lock:
            self._attached.pop(name, None)

    def _named(self) -> Mapping[str, Cloud]:
        """Return the clouds the cluster has anything of, by the name of their provider."""
        nodes = (node.placement.provider for node in self._picture.nodes.values())
        attached = (provider for provider, _ in self._picture.store.attached(self._picture.cluster.id))
        return self._clouds.named((*nodes, *attached))

    def _tagged(self, number: int) -> list[tuple[Cloud, Machine]]:
        """Return the machines that carry the node's tag; the providers are asked once per job, for all nodes."""
        with self._lock:
            if self._found is None:
                found: dict[int, list[tuple[Cloud, Machine]]] = {}
                for cloud in self._named().values():
                    for machine in cloud.find(self._scope).machines:
                        found.setdefault(machine.node, []).append((cloud, machine))
                self._found = found
            return self._found.get(number, [])
