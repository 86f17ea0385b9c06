"""The work on services: prepare a node for its automators, and run the actions of services on it.

What BOOTSTRAP brought and a node has lost is brought again. Macros are expanded for the node as its task begins. Never
imports Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import Automator, Result
from coopr_core.automators.deliveries import Deliveries
from coopr_core.automators.preparation import prepare_node
from coopr_core.automators.resources import needed
from coopr_core.catalog.entities import Service
from coopr_core.errors import CooprError
from coopr_core.macros import expand
from coopr_core.macros.rendering import fields_path
from coopr_core.model.records import TaskRecord

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
        automators: Mapping[str, Automator[Any]],
        machines: Machines,
        access: NodeAccess,
    ) -> None:
        self._picture = picture
        self._automators = automators
        self._machines = machines
        self._access = access
        self._deliveries = Deliveries()

    def bootstrap(self, task: TaskRecord, log: TaskLog) -> Result:
        """Prepare the node, for every automator its services use; their resources may still be on their way then."""
        context = self._context(task, None)
        names = ", ".join(service.name for service in context.services)
        session = self._access.session(self._machines.usable(task.node, log)).with_output(log)
        used = {name: self._automators[name] for name in context.automators}
        result = Result()
        if any(each.on_node for each in used.values()) or any(service.resources for service in context.services):
            result = prepare_node(context, session, self._deliveries)
        for name, automator in used.items():
            if result.exit_status:
                break
            log.write(f"preparing for automator {name}: {names}")
            own = automator.bootstrap(context, session)
            result = own if own.exit_status or own.tail else result
        return result

    def run(self, task: TaskRecord, log: TaskLog) -> Result:
        """Run the task's action of its service, on a node that is prepared again if it has to be."""
        service = self._picture.layout.services[task.service]
        automator = self._automators[service.actions[task.action.lower()].type]
        session = self._access.session(self._machines.usable(task.node, log)).with_output(log)
        with suppress(CooprError):  # what did not arrive is missed, and brought again, by the action itself
            self._await_resources(task, service, log)
        result = automator.run(self._context(task, service), session)
        if result.unprepared:
            self._prepare_again(task, result, log)
            self._await_resources(task, service, log)
            result = automator.run(self._context(task, service), session)
            if result.unprepared:
                raise self._unpreparable(task, result)
        if result.properties and not result.exit_status:
            self._picture.record_properties(task.node, result.properties)
        return result

    def pack(self) -> None:
        """Begin to pack what nodes will be brought, while they are made."""
        self._deliveries.pack(needed(self._picture.layout.services.values()).values())

    def settle(self) -> None:
        """Wait until no resource is on its way any more."""
        self._deliveries.close()

    def _await_resources(self, task: TaskRecord, service: Service, log: TaskLog) -> None:
        if waiting := self._deliveries.on_the_way(task.node, service.resources):
            log.write(f"waiting for what is on its way: {', '.join(each.name for each in waiting)}")
        self._deliveries.check(task.node, service.resources)

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

    def _context(self, task: TaskRecord, service: Service | None) -> TaskContext:
        """Return what the task is told; BOOTSTRAP, which may run early, gets no config."""
        picture, number = self._picture, task.node
        node, machine = picture.node(number), picture.machine(number)
        config: Mapping[str, Any] = {}
        fields: Mapping[str, Any] = {}
        if service is not None:
            config = picture.config(number)
            action = task.action.lower()
            place = fields_path(service.name, action)
            fields = expand(dict(service.actions[action].fields), picture.macros(number), place, loose=True)
        return TaskContext(
            task_id=task.id,
            job_id=task.job_id,
            cluster_id=task.cluster_id,
            cluster_name=picture.cluster.name,
            action=task.action,
            number=number,
            host_name=node.host_name,
            root=machine.root,
            services=picture.services_of(number),
            service=service,
            fields=fields,
            config=config,
            addresses=machine.addresses,
            ssh_user=machine.ssh_user,
            hardware_type=node.hardware_type,
            image_type=node.image_type,
            flavor=node.flavor,
            image=node.image,
            nodes=picture.seen(number),
            leaving=picture.leaving_with(task.service, number),
        )
