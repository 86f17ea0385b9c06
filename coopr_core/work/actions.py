"""What a task does: create, confirm, bootstrap and delete machines, and run the actions of services on them.

Every action may be run again after a crash: the intended machine is written down before it is asked for, a machine is
found again by its tag, and a node whose connection was lost is confirmed anew before the next command. A machine is
given up only when its provider calls it failed or gone, or when it is not usable in its time: a look that fails says
nothing of the machine. Never imports Prefect. What the store knows of the nodes is kept in memory, because the one
running job is the only one to change it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from coopr_core.automators.contract import Automator, NodeInputs, Result
from coopr_core.catalog.entities import ACTIONS, Service
from coopr_core.errors import CooprError, InvalidInput, Retry, TimedOut, Unreachable
from coopr_core.macros import MacroContext, expand
from coopr_core.macros.rendering import fields_path
from coopr_core.model.records import ClusterRecord, NodeRecord, TaskRecord
from coopr_core.model.states import NodeState
from coopr_core.operations.links import macro_nodes
from coopr_core.providers.contract import Machine, MachineRequest, Provider
from coopr_core.providers.finding import find_machines
from coopr_core.work.membership import Membership
from coopr_core.work.patience import patiently

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.remote.pool import Sessions
    from coopr_core.store import Store
    from coopr_core.work.task_log import TaskLog


class Actions:
    """The work of one job's tasks, for the nodes of one cluster. Safe to use from many threads, one per node."""

    def __init__(
        self,
        *,
        store: Store,
        cluster: ClusterRecord,
        layout: ClusterLayout,
        provider: Provider,
        automators: Mapping[str, Automator],
        sessions: Sessions,
        authorized_key: str,
        secret: Callable[[str], str] | None = None,
        resumed: bool = False,
        membership: Membership | None = None,
        usable_within: float = 0,
    ) -> None:
        """``resumed``: the job was begun before, maybe before the machines were last started.

        ``membership``: which nodes come, go or are made anew; none when left out. ``usable_within``: how many seconds
        after it was accepted a machine that is not usable yet is replaced; 0 is never.
        """
        self._store = store
        self._cluster = cluster
        self._layout = layout
        self._provider = provider
        self._automators = automators
        self._sessions = sessions
        self._authorized_key = authorized_key
        self._secret = secret
        self._lock = threading.Lock()
        self._nodes = {node.number: node for node in store.nodes(cluster.id)}
        self._suspect: set[int] = set(self._nodes) if resumed else set()
        self._membership = membership or Membership()
        self._usable_within = usable_within
        self._contexts: dict[bool, MacroContext] = {}
        self._found: dict[int, list[Machine]] | None = None

    def perform(self, task: TaskRecord, attempt: int, log: TaskLog) -> Result:
        """Do the task; ``attempt`` is one more than failed. What it did not manage is an exit status or an error."""
        number = task.node
        if self._membership.unaffected(task, self._nodes):
            log.write("the replaced nodes have the addresses they had: there is nothing to adapt to")
            return Result()
        try:
            match task.action:
                case "CREATE":
                    return self._create(number, log)
                case "CONFIRM":
                    return self._confirm(number, attempt, log)
                case "DELETE":
                    return self._delete(number, log)
                case "BOOTSTRAP":
                    return self._bootstrap(task, log)
                case action if action.lower() in ACTIONS:
                    return self._service_action(task, log)
        except Unreachable:
            self._suspect.add(number)
            raise
        raise InvalidInput(f"there is no task action {task.action!r}")

    def delete_strays(self) -> list[Machine]:
        """Delete every machine that still carries the cluster's tag, whichever node it was for; those there were."""
        strays = patiently(lambda: find_machines(self._provider, self._cluster.id, self._store.installation))
        for machine in strays:
            self._sessions.drop(machine)
            patiently(partial(self._provider.delete, machine))
        return strays

    def _create(self, number: int, log: TaskLog) -> Result:
        node = self._nodes[number]
        token = self._store.intend_machine(self._cluster.id, number)
        log.write(f"asking provider {self._cluster.provider} for a machine: flavor {node.flavor}, image {node.image}")
        machine = self._provider.create(
            MachineRequest(
                token=token,
                installation=self._store.installation,
                cluster_id=self._cluster.id,
                cluster_name=self._cluster.name,
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
        self._record(number, machine, NodeState.CREATED)
        log.write(f"machine {machine.provider_id} is accepted")
        return Result()

    def _confirm(self, number: int, attempt: int, log: TaskLog) -> Result:
        """Wait for the machine; one that will not come up is replaced, so that none leaks (section 6)."""
        if self._nodes[number].machine is None:
            self._create(number, log)
        elif attempt > 1:
            log.write("looking again whether the machine is usable")
        try:
            machine = self._provider.confirm(self._machine(number))
        except CooprError as error:
            if not (reason := self._given_up(number, error)):
                raise
            log.write(f"{reason}: {error.message}; replacing it", logging.WARNING)
            lost = self._machine(number)
            self._sessions.drop(lost)
            self._provider.delete(lost)
            self._record(number, None, NodeState.PLANNED)
            self._create(number, log)
            machine = self._provider.confirm(self._machine(number))
        self._record(number, machine, NodeState.CONFIRMED)
        log.write(f"machine {machine.provider_id} answers at {machine.addresses.get('access_v4')}:{machine.port}")
        return Result(properties={"ipaddresses": dict(machine.addresses)})

    def _given_up(self, number: int, error: CooprError) -> str:
        """Why the machine whose confirmation raised ``error`` is not waited for any longer; empty when it is."""
        if error.retry is Retry.ELSEWHERE:
            return "its provider gives the machine up"
        looked = isinstance(error, Unreachable | TimedOut)
        since = self._store.machine_since(self._cluster.id, number) if looked and self._usable_within else None
        if since is not None and (datetime.now(UTC) - since).total_seconds() > self._usable_within:
            return f"the machine is not usable {self._usable_within:g} s after it was made"
        return ""

    def leave_out(self, number: int) -> None:
        """Go on without the node: no other one is told of it any more."""
        with self._lock:
            self._membership.given_up.add(number)
            self._contexts.clear()

    def may_lose(self, number: int, least: int) -> bool:
        """Whether the job made the node and at least ``least`` others with the same services are left without it."""
        with self._lock:
            node = self._nodes[number]
            gone = {*self._membership.given_up, *self._membership.leaving, number}
            alike = [n for n in self._nodes.values() if n.services == node.services and n.number not in gone]
            return number in self._membership.created and len(alike) >= least

    @property
    def membership(self) -> Membership:
        """What the job does to the nodes."""
        return self._membership

    def _delete(self, number: int, log: TaskLog) -> Result:
        for machine in self.discard(number):
            log.write(f"machine {machine.provider_id} is deleted")
        return Result()

    def discard(self, number: int) -> list[Machine]:
        """Delete the node's machine, and any other that carries its tag; what those were.

        One that carries the tag without being the node's is one the store lost sight of.
        """
        node = self._nodes[number]
        known = [Machine.from_json(node.machine)] if node.machine else []
        tokens = {machine.token for machine in known}
        gone = [*known, *(found for found in self._tagged(number) if found.token not in tokens)]
        for machine in gone:
            self._sessions.drop(machine)
            self._provider.delete(machine)
        self._record(number, None, NodeState.DELETED)
        return gone

    def _tagged(self, number: int) -> list[Machine]:
        """The machines that carry the node's tag; the provider is asked once per job, for all nodes."""
        with self._lock:
            if self._found is None:
                found: dict[int, list[Machine]] = {}
                for machine in find_machines(self._provider, self._cluster.id, self._store.installation):
                    found.setdefault(machine.node, []).append(machine)
                self._found = found
            return self._found.get(number, [])

    def _bootstrap(self, task: TaskRecord, log: TaskLog) -> Result:
        """Prepare the node for every automator its services use."""
        services = self._services(task.node)
        inputs = self._inputs(task, None)
        used = sorted({action.type for service in services for action in service.actions.values()})
        result = Result()
        for name in used:
            log.write(f"preparing for automator {name}: {', '.join(service.name for service in services)}")
            session = self._sessions.session(self._usable(task.node, log)).with_output(log)
            result = self._automators[name].bootstrap(inputs, session)
            if result.exit_status:
                break
        return result

    def _service_action(self, task: TaskRecord, log: TaskLog) -> Result:
        service = self._layout.services[task.service]
        action = task.action.lower()
        automator = self._automators[service.actions[action].type]
        machine = self._usable(task.node, log)
        session = self._sessions.session(machine).with_output(log)
        result = automator.run(action, service, self._inputs(task, service), session)
        if result.unprepared:
            self._prepare_again(task, result, log)
            result = automator.run(action, service, self._inputs(task, service), session)
            if result.unprepared:
                raise self._unpreparable(task, result)
        if result.properties and not result.exit_status:
            self._store.record_properties(self._cluster.id, task.node, result.properties)
            with self._lock:
                node = self._nodes[task.node]
                self._nodes[task.node] = replace(node, properties={**node.properties, **result.properties})
        return result

    def _prepare_again(self, task: TaskRecord, lost: Result, log: TaskLog) -> None:
        """Bring what BOOTSTRAP brought and the node has lost. Raises ``CooprError`` when that cannot be done."""
        log.write("the node does not hold what BOOTSTRAP brought any more; bringing it again", logging.WARNING)
        brought = self._bootstrap(task, log)
        if brought.exit_status:
            raise self._unpreparable(task, brought if brought.tail else lost)

    def _unpreparable(self, task: TaskRecord, result: Result) -> CooprError:
        said = f": {result.tail[-1]}" if result.tail else ""
        return CooprError(
            f"what BOOTSTRAP brings cannot be brought to {self._nodes[task.node].host_name} again{said}",
            hint=f"`coopr replace {self._cluster.name} {task.node}` makes the node anew; a cluster that never was "
            "complete can only be deleted and created again.",
        )

    def _usable(self, number: int, log: TaskLog) -> Machine:
        """The node's machine; confirmed again first when its connection was lost."""
        machine = self._machine(number)
        if number not in self._suspect:
            return machine
        log.write("the connection to the node was lost, or never made; looking whether it is there")
        self._sessions.drop(machine)
        machine = self._provider.confirm(machine)
        self._record(number, machine, NodeState.CONFIRMED)
        self._suspect.discard(number)
        return machine

    def _machine(self, number: int) -> Machine:
        machine = self._nodes[number].machine
        if machine is None:
            raise CooprError(f"node {number} has no machine", hint=f"`coopr delete {self._cluster.id}`, create again")
        return Machine.from_json(machine)

    def _record(self, number: int, machine: Machine | None, state: NodeState) -> None:
        json = machine.to_json() if machine is not None else None
        record = self._store.record_machine(self._cluster.id, number, json, state)
        with self._lock:
            self._nodes[number] = record
            self._contexts.clear()

    def _macros(self, number: int) -> MacroContext:
        """What macros stand for on a node, worked out once for all that stay until a machine changes."""
        leaves = number in self._membership.leaving
        with self._lock:
            if leaves not in self._contexts:
                nodes = macro_nodes(self._membership.seen_from(number, self._nodes.values()))
                self._contexts[leaves] = MacroContext(
                    owner=self._cluster.owner, nodes=nodes, secret=self._secret, config=self._layout.config
                )
            return self._contexts[leaves].at(number)

    def _services(self, number: int) -> list[Service]:
        return [self._layout.services[name] for name in sorted(self._nodes[number].services)]

    def _inputs(self, task: TaskRecord, service: Service | None) -> NodeInputs:
        node = self._nodes[task.node]
        machine = self._machine(task.node)
        return NodeInputs(
            task_id=task.id,
            host_name=node.host_name,
            number=node.number,
            root=machine.root,
            services=self._services(task.node),
            task_json=self._task_json(task, node, machine, service),
        )

    def _task_json(
        self, task: TaskRecord, node: NodeRecord, machine: Machine, service: Service | None
    ) -> dict[str, Any]:
        """The task as it is written to the node (section 12). BOOTSTRAP, which may run early, gets no config."""
        with self._lock:
            nodes = self._membership.seen_from(node.number, self._nodes.values())
        leaving = self._membership.leaving_with(task.service, node.number, nodes)
        config: Any = {}
        described: dict[str, Any] = {}
        if service is not None:
            config = expand(dict(self._layout.config), self._macros(node.number), path="config")
            action = service.actions[task.action.lower()]
            place = fields_path(service.name, task.action.lower())
            fields = expand(dict(action.fields), self._macros(node.number), place, loose=True)
            described = {"name": service.name, "action": {"type": action.type, "fields": fields}}
        return {
            "taskId": task.id,
            "jobId": task.job_id,
            "clusterId": task.cluster_id,
            "clusterName": self._cluster.name,
            "taskName": task.action,
            "nodeId": str(node.number),
            "config": {
                "cluster": config,
                "service": described,
                "hostname": node.host_name,
                "ipaddresses": dict(machine.addresses),
                "nodenum": node.number,
                "sshuser": machine.ssh_user,
                "hardwaretype": node.hardware_type,
                "imagetype": node.image_type,
                "flavor": node.flavor,
                "image": node.image,
                "automators": sorted({a.type for s in self._services(node.number) for a in s.actions.values()}),
                "services": list(node.services),
                **({"leaving": leaving} if leaving else {}),
                "nodes": {str(other.number): _properties(other) for other in nodes},
            },
        }


def _properties(node: NodeRecord) -> dict[str, Any]:
    return {
        "hostname": node.host_name,
        "nodenum": node.number,
        "ipaddresses": dict((node.machine or {}).get("addresses", {})),
        "services": list(node.services),
        **node.properties,
    }
