"""What a task does: one dispatch by its action, to the machines of the job or to the work on its services.

Every action may be run again after a crash: the intended machine is written down before it is asked for, a machine is
found again by its tag, and a node whose connection was lost is confirmed anew before the next command. Never imports
Prefect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from coopr_core.automators.contract import Automator, Result
from coopr_core.catalog.entities import ACTIONS
from coopr_core.errors import InvalidInput, Unreachable
from coopr_core.model.courses import Action
from coopr_core.model.records import ClusterRecord, TaskRecord
from coopr_core.providers.cloud import Clouds
from coopr_core.work.machines import Machines
from coopr_core.work.membership import Membership
from coopr_core.work.picture import ClusterPicture
from coopr_core.work.services import ServiceActions

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.remote.access import NodeAccess
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
        clouds: Clouds,
        automators: Mapping[str, Automator[Any]],
        access: NodeAccess,
        authorized_key: str,
        secret: Callable[[str], str] | None = None,
        resumed: bool = False,
        membership: Membership | None = None,
        host_key_seed: Callable[[], bytes] | None = None,
    ) -> None:
        """``resumed``: the job was begun before, maybe before the machines were last started.

        ``membership``: which nodes come, go or are made anew; none when left out. ``host_key_seed``: what host keys of
        machines are derived from, where their provider takes one from us.
        """
        self.picture = ClusterPicture(store, cluster, layout, membership or Membership(), secret)
        self.machines = Machines(
            self.picture, clouds, access, authorized_key, resumed=resumed, host_key_seed=host_key_seed
        )
        self._services = ServiceActions(self.picture, automators, self.machines, access)

    def pack(self) -> None:
        """Begin to pack the resources that BOOTSTRAP brings, while machines are made."""
        self._services.pack()

    def settle(self) -> None:
        """Wait for what tasks have begun and go on without: resources on their way to nodes."""
        self._services.settle()

    def perform(self, task: TaskRecord, attempt: int, log: TaskLog) -> Result:
        """Do the task; ``attempt`` is one more than failed. What it did not manage is an exit status or an error."""
        number = task.node
        if self.picture.membership.unaffected(task, self.picture.nodes):
            log.write("the replaced nodes have the addresses they had: there is nothing to adapt to")
            return Result()
        try:
            match task.action:
                case Action.CREATE:
                    return self.machines.create(number, log)
                case Action.CONFIRM:
                    return self.machines.confirm(number, attempt, log)
                case Action.DELETE:
                    return self.machines.delete(number, log)
                case Action.BOOTSTRAP:
                    return self._services.bootstrap(task, log)
                case action if action.lower() in ACTIONS:
                    return self._services.run(task, log)
        except Unreachable:
            self.machines.suspect(number)
            raise
        raise InvalidInput(f"there is no task action {task.action!r}")
