"""The machines of a job's nodes: asked for, confirmed, given up, brought back, deleted.

The intended machine is written down before it is asked for, and found again by its tag. A machine is given up only when
its provider calls it failed or gone, or when it is not usable in its time: a look that fails says nothing of the
machine. Never imports Prefect.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from coopr_core.automators.contract import Result
from coopr_core.errors import CooprError, Retry, TimedOut, Unreachable
from coopr_core.model.states import NodeState
from coopr_core.providers.contract import Machine, MachineRequest, Provider
from coopr_core.providers.finding import find_machines
from coopr_core.work.patience import patiently

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.work.picture import ClusterPicture
    from coopr_core.work.task_log import TaskLog


class Machines:
    """The machines of one job's nodes. Safe to use from many threads, one per node."""

    def __init__(
        self,
        picture: ClusterPicture,
        provider: Provider,
        access: NodeAccess,
        authorized_key: str,
        *,
        resumed: bool = False,
        usable_within: float = 0,
    ) -> None:
        """``resumed``: the job was begun before, maybe before the machines were last started.

        ``usable_within``: how many seconds after it was accepted a machine that is not usable yet is replaced; 0 is
        never.
        """
        self._picture = picture
        self._provider = provider
        self._access = access
        self._authorized_key = authorized_key
        self._usable_within = usable_within
        self._lock = threading.Lock()
        self._found: dict[int, list[Machine]] | None = None
        for number in picture.nodes if resumed else ():
            self.suspect(number)

    def suspect(self, number: int) -> None:
        """Have the provider look whether the node's machine is there before the next command runs on it."""
        if self._picture.node(number).machine is not None:
            self._access.suspect(self._picture.machine(number))

    def create(self, number: int, log: TaskLog) -> Result:
        """Ask for the node's machine, whose token is on record before."""
        node = self._picture.node(number)
        token = self._picture.store.intend_machine(self._picture.cluster.id, number)
        log.write(
            f"asking provider {self._picture.cluster.provider} for a machine: flavor {node.flavor}, image {node.image}"
        )
        machine = self._provider.create(
            MachineRequest(
                token=token,
                installation=self._picture.store.installation,
                cluster_id=self._picture.cluster.id,
                cluster_name=self._picture.cluster.name,
                node=number,
                host_name=node.host_name,
                flavor=node.flavor,
                image=node.image,
                ssh_user=node.ssh_user,
                authorized_key=self._authorized_key,
                zone=node.zone,
                options=node.options,
            )
        )
        self._picture.record_machine(number, machine, NodeState.CREATED)
        log.write(f"machine {machine.provider_id} is accepted")
        return Result()

    def confirm(self, number: int, attempt: int, log: TaskLog) -> Result:
        """Wait for the machine; one that will not come up is replaced, so that none leaks (section 6)."""
        if self._picture.node(number).machine is None:
            self.create(number, log)
        elif attempt > 1:
            log.write("looking again whether the machine is usable")
        try:
            machine = self._provider.confirm(self._picture.machine(number))
        except CooprError as error:
            if not (reason := self._given_up(number, error)):
                raise
            log.write(f"{reason}: {error.message}; replacing it", logging.WARNING)
            lost = self._picture.machine(number)
            self._access.drop(lost)
            self._provider.delete(lost)
            self._picture.record_machine(number, None, NodeState.PLANNED)
            self.create(number, log)
            machine = self._provider.confirm(self._picture.machine(number))
        self._picture.record_machine(number, machine, NodeState.CONFIRMED)
        log.write(f"machine {machine.provider_id} answers at {machine.addresses.get('access_v4')}:{machine.port}")
        return Result(properties={"ipaddresses": dict(machine.addresses)})

    def _given_up(self, number: int, error: CooprError) -> str:
        """Why the machine whose confirmation raised ``error`` is not waited for any longer; empty when it is."""
        if error.retry is Retry.ELSEWHERE:
            return "its provider gives the machine up"
        looked = isinstance(error, Unreachable | TimedOut)
        since = (
            self._picture.store.machine_since(self._picture.cluster.id, number)
            if looked and self._usable_within
            else None
        )
        if since is not None and (datetime.now(UTC) - since).total_seconds() > self._usable_within:
            return f"the machine is not usable {self._usable_within:g} s after it was made"
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
        known = [Machine.from_json(node.machine)] if node.machine else []
        tokens = {machine.token for machine in known}
        gone = [*known, *(found for found in self._tagged(number) if found.token not in tokens)]
        for machine in gone:
            self._access.drop(machine)
            self._provider.delete(machine)
        self._picture.record_machine(number, None, NodeState.DELETED)
        return gone

    def usable(self, number: int, log: TaskLog) -> Machine:
        """Return the node's machine; confirmed again first when its connection was lost."""

        def revive(machine: Machine) -> Machine:
            log.write("the connection to the node was lost, or never made; looking whether it is there")
            machine = self._provider.confirm(machine)
            self._picture.record_machine(number, machine, NodeState.CONFIRMED)
            return machine

        return self._access.present(self._picture.machine(number), revive)

    def delete_strays(self) -> list[Machine]:
        """Delete every machine that still carries the cluster's tag, whichever node it was for, and return them."""
        strays = patiently(
            lambda: find_machines(self._provider, self._picture.cluster.id, self._picture.store.installation)
        )
        for machine in strays:
            self._access.drop(machine)
            patiently(partial(self._provider.delete, machine))
        return strays

    def _tagged(self, number: int) -> list[Machine]:
        """The machines that carry the node's tag; the provider is asked once per job, for all nodes."""
        with self._lock:
            if self._found is None:
                found: dict[int, list[Machine]] = {}
                for machine in find_machines(
                    self._provider, self._picture.cluster.id, self._picture.store.installation
                ):
                    found.setdefault(machine.node, []).append(machine)
                self._found = found
            return self._found.get(number, [])
