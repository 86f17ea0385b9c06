"""The work on services: prepare a node for its automators, and run the actions of services on it.

What BOOTSTRAP brought and a node has lost is brought again. Macros are expanded for the node as its task begins. Never
imports Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coopr_core.automators.contract import Automator, NodeInputs, Result
from coopr_core.catalog.entities import Service
from coopr_core.errors import CooprError
from coopr_core.macros import expand
from coopr_core.macros.rendering import fields_path
from coopr_core.model.records import NodeRecord, TaskRecord
from coopr_core.providers.contract import Machine

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.work.machines import Machines
    from coopr_core.work.picture import ClusterPicture
    from coopr_core.work.task_log import TaskLog


class ServiceActions:
    """What automators do for one job. Safe to use from many threads, one per node."""

    def __init__(
        self,
        picture: ClusterPicture,
        automators: Mapping[str, Automator],
        machines: Machines,
        access: NodeAccess,
    ) -> None:
        self._picture = picture
        self._automators = automators
        self._machines = machines
        self._access = access

    def bootstrap(self, task: TaskRecord, log: TaskLog) -> Result:
        """Prepare the node for every automator its services use."""
        services = self._picture.services_of(task.node)
        inputs = self._inputs(task, None)
        used = sorted({action.type for service in services for action in service.actions.values()})
        result = Result()
        for name in used:
            log.write(f"preparing for automator {name}: {', '.join(service.name for service in services)}")
            session = self._access.session(self._machines.usable(task.node, log)).with_output(log)
            result = self._automators[name].bootstrap(inputs, session)
            if result.exit_status:
                break
        return result

    def run(self, task: TaskRecord, log: TaskLog) -> Result:
        """Run the task's action of its service, on a node that is prepared again if it has to be."""
        service = self._picture.layout.services[task.service]
        action = task.action.lower()
        automator = self._automators[service.actions[action].type]
        machine = self._machines.usable(task.node, log)
        session = self._access.session(machine).with_output(log)
        result = automator.run(action, service, self._inputs(task, service), session)
        if result.unprepared:
            self._prepare_again(task, result, log)
            result = automator.run(action, service, self._inputs(task, service), session)
            if result.unprepared:
                raise self._unpreparable(task, result)
        if result.properties and not result.exit_status:
            self._picture.record_properties(task.node, result.properties)
        return result

    def _prepare_again(self, task: TaskRecord, lost: Result, log: TaskLog) -> None:
        """Bring what BOOTSTRAP brought and the node has lost. Raises ``CooprError`` when that cannot be done."""
        log.write("the node does not hold what BOOTSTRAP brought any more; bringing it again", logging.WARNING)
        brought = self.bootstrap(task, log)
        if brought.exit_status:
            raise self._unpreparable(task, brought if brought.tail else lost)

    def _unpreparable(self, task: TaskRecord, result: Result) -> CooprError:
        said = f": {result.tail[-1]}" if result.tail else ""
        return CooprError(
            f"what BOOTSTRAP brings cannot be brought to {self._picture.node(task.node).host_name} again{said}",
            hint=f"`coopr replace {self._picture.cluster.name} {task.node}` makes the node anew; a cluster that never "
            "was complete can only be deleted and created again.",
        )

    def _inputs(self, task: TaskRecord, service: Service | None) -> NodeInputs:
        node = self._picture.node(task.node)
        machine = self._picture.machine(task.node)
        return NodeInputs(
            task_id=task.id,
            host_name=node.host_name,
            number=node.number,
            root=machine.root,
            services=self._picture.services_of(task.node),
            task_json=self._task_json(task, node, machine, service),
        )

    def _task_json(
        self, task: TaskRecord, node: NodeRecord, machine: Machine, service: Service | None
    ) -> dict[str, Any]:
        """Return the task as it is written to the node (section 12); BOOTSTRAP, which may run early, gets no config."""
        leaving = self._picture.leaving_with(task.service, node.number)
        config: Any = {}
        described: dict[str, Any] = {}
        if service is not None:
            config = self._picture.config(node.number)
            action = service.actions[task.action.lower()]
            place = fields_path(service.name, task.action.lower())
            fields = expand(dict(action.fields), self._picture.macros(node.number), place, loose=True)
            described = {"name": service.name, "action": {"type": action.type, "fields": fields}}
        return {
            "taskId": task.id,
            "jobId": task.job_id,
            "clusterId": task.cluster_id,
            "clusterName": self._picture.cluster.name,
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
                "automators": sorted(
                    {a.type for s in self._picture.services_of(node.number) for a in s.actions.values()}
                ),
                "services": list(node.services),
                **({"leaving": leaving} if leaving else {}),
                "nodes": self._picture.described(node.number),
            },
        }
