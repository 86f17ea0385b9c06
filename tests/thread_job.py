"""A job on threads alone, without Prefect: machines in memory, services whose actions are functions of the test."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from store_samples import record_cluster

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import ActionFields, Automator, Result
from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.errors import Interrupted
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.placement import Placement
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.records import TaskRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.planner import Plan, Task, plan
from coopr_core.providers.cloud import Clouds
from coopr_core.providers.contract import Machine, MachineRequest, MachineState, Status
from coopr_core.providers.scope import Scope
from coopr_core.providers.simple import SimpleProvider
from coopr_core.remote.access import NodeAccess
from coopr_core.store import Store
from coopr_core.work.actions import Actions
from coopr_core.work.attempts import TaskFailed
from coopr_core.work.job.after_failure import AfterFailure
from coopr_core.work.job.context import JobContext
from coopr_core.work.job.run import JobRun
from coopr_core.work.membership import Membership

Do = Callable[[TaskContext], Result | None]


def fake_service(name: str, requires: tuple[str, ...] = ()) -> Service:
    """A service that is installed and started by functions of the test."""
    actions = {action: {"type": "fake", "fields": {}} for action in ("install", "start")}
    dependencies = {"runtime": {"requires": list(requires)}}
    return Service.model_validate({"name": name, "dependencies": dependencies, "provisioner": {"actions": actions}})


class MemoryCloud(SimpleProvider):
    """Machines in memory."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}

    def create_machine(self, request: MachineRequest) -> Machine:
        machine = Machine(request.token, f"m-{request.node}", request.cluster_id, request.node, reached_by="none")
        return self.machines.setdefault(request.token, machine)

    def machine_status(self, machine: Machine) -> Status:
        address = f"127.0.{machine.node // 250}.{machine.node % 250}"
        return Status(
            replace(machine, addresses={"access_v4": address, "bind_v4": address}, port=1), MachineState.READY
        )

    def delete_machine(self, machine: Machine) -> None:
        self.machines.pop(machine.token, None)

    def find_machines(self, scope: Scope) -> list[Machine]:
        return list(self.machines.values())


class Scripted(Automator[ActionFields]):
    """Does what the test says for an action of a service on a node; nothing where it says nothing."""

    fields_type = ActionFields

    def __init__(self) -> None:
        super().__init__()
        self.does: dict[tuple[str, str, int], Do] = {}

    def bootstrap(self, context: TaskContext, session: Any) -> Result:
        return Result()

    def run(self, context: TaskContext, session: Any) -> Result:
        assert context.service is not None
        do = self.does.get((context.action, context.service.name, context.number))
        return (do(context) if do else None) or Result()


@dataclass
class Told:
    """What the job's user would hear."""

    lines: list[str] = field(default_factory=list)

    def started(self, task: TaskRecord) -> None: ...

    def ended(self, task: TaskRecord) -> None: ...

    def failed(self, task: TaskRecord, title: str) -> None:
        self.lines.append(f"{title} did not succeed")

    def say(self, text: str, level: int = logging.INFO) -> None:
        self.lines.append(text)


class ThreadJob:
    """The job that creates a cluster of nodes with the services ``db`` and ``web``, which needs it."""

    def __init__(self, store: Store, folder: Path, size: int = 3, policy: FailurePolicy | None = None) -> None:
        self.store, self.cloud, self.scripted, self.told = store, MemoryCloud(), Scripted(), Told()
        services = {"db": fake_service("db"), "web": fake_service("web", ("db",))}
        place = Placement("cloud", flavor="small")
        nodes = tuple(Node(number, services=("db", "web"), placement=place) for number in range(1000, 1000 + size))
        self.layout = ClusterLayout(nodes, services, template="t", provider="cloud", config={})
        request = ClusterRequest(name="c", template="t")
        self.cluster = record_cluster(store, request, ClusterTemplate(name="t"), self.layout, owner="bob")
        self.plan: Plan = plan("CLUSTER_CREATE", self.layout)
        parameters = JobParameters(policy=policy or FailurePolicy())
        self.job = store.start_job(self.cluster.id, "CLUSTER_CREATE", self.plan, parameters=parameters)
        self.ran: list[tuple[Task, float, float]] = []
        self.endless_runs = threading.Event()
        self._folder, self._lock = folder, threading.Lock()

    def does(self, action: str, service: str, do: Do, *, node: int = 1001) -> None:
        """Let an action of a service on a node do that."""
        self.scripted.does[action, service, node] = do

    def endless(self, context: TaskContext) -> Result:
        """A command that ends when the job ends what runs."""
        self.endless_runs.set()
        while not self.access.stopped():
            time.sleep(0.01)
        raise Interrupted("the command was ended")

    @contextlib.contextmanager
    def context(self, **options: Any) -> Iterator[JobContext]:
        """What a process needs to run tasks of the job."""
        with NodeAccess(self._folder / "no-key") as self.access:
            tasks = {task.id: task for task in self.store.tasks(self.job.id)}
            parameters = self.store.job_parameters(self.job.id)
            actions = Actions(
                store=self.store,
                cluster=self.cluster,
                layout=self.layout,
                clouds=Clouds.of(self.cloud),
                automators={"fake": self.scripted},
                access=self.access,
                authorized_key="ssh-ed25519 AAAA",
                resumed=any(task.attempts for task in tasks.values()),
                membership=Membership.of(self.job, parameters, tasks.values()),
            )
            logs = self._folder / "logs"
            yield JobContext(
                self.store, self.cluster, self.job, actions, self.access, logs, parameters, tasks, **options
            )

    def run(
        self,
        *,
        schedule: Literal["stages", "dataflow"] = "stages",
        at_once: int = 4,
        tries: int = 3,
        attempt: Callable[[JobContext, str, int], None] | None = None,
        before: Callable[[JobRun], None] = lambda run: None,
        **options: Any,
    ) -> None:
        """Run the job, or what is left of it; ``attempt`` stands for how one task is tried, ``before`` comes first."""
        with self.context() as context:
            actions, parameters = context.actions, context.parameters
            run = JobRun(
                context,
                self.plan,
                schedule,
                at_once,
                self.told,
                AfterFailure(self.store, self.job, actions, parameters.policy),
                **options,
            )
            before(run)
            with ThreadPoolExecutor() as pool:

                def start() -> None:
                    for task in run.ready():
                        record = run.record(task)
                        run.started(
                            task, pool.submit(self._timed, attempt or self._attempt, context, task, record.id, tries)
                        )

                run.run(start)

    def _timed(
        self, attempt: Callable[[JobContext, str, int], None], context: JobContext, task: Task, task_id: str, tries: int
    ) -> None:
        begun = time.monotonic()
        try:
            attempt(context, task_id, tries)
        finally:
            with self._lock:
                self.ran.append((task, begun, time.monotonic()))

    def _attempt(self, context: JobContext, task_id: str, tries: int) -> None:
        """Try a task as often as it may be, as Prefect does."""
        for number in range(1, tries + 1):
            try:
                context.attempt(
                    task_id, run_id=f"run-{number}", may_retry=number < tries, emit=lambda level, text: None
                )
            except TaskFailed as error:
                if not error.again or number == tries:
                    raise
            else:
                return
