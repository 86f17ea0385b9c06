"""The work of tasks against a provider that fails on purpose, and a real store."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paramiko
import pytest
from sqlalchemy import update
from store_samples import record_cluster

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import ActionFields, Automator, Result
from coopr_core.automators.task_files import task_json
from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.errors import (
    CooprError,
    Denied,
    MachineFailed,
    MachineGone,
    OutcomeUnknown,
    Throttled,
    TimedOut,
    Unreachable,
)
from coopr_core.macros import UnresolvedMacro
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.placement import Placement
from coopr_core.model.records import TaskRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import NodeState
from coopr_core.planner import plan
from coopr_core.providers.cloud import Clouds
from coopr_core.providers.contract import Gateway, Machine, MachineRequest, MachineState, Status
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Scope
from coopr_core.providers.simple import SimpleProvider
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.keys import ensure_client_key
from coopr_core.store import Store
from coopr_core.store.schema import machines
from coopr_core.work.actions import Actions
from coopr_core.work.task_log import TaskLog

COMMAND = "date +%Y%m%d; echo %host.service.db% %config.port% %secret.db% 50%% %literal('%ip.self%')%"
SERVICES = {
    "db": Service.model_validate(
        {
            "name": "db",
            "provisioner": {
                "actions": {"start": {"type": "fake", "fields": {"command": COMMAND, "args": ["%ip.self%", 5]}}}
            },
        }
    )
}
CONFIG = {"hosts": "%host.service.db%", "me": "%ip.self%", "password": "%secret.db%", "port": 5}


class Cloud(SimpleProvider):
    """Machines in memory; the first looks at them end with these errors."""

    def __init__(self, *errors: CooprError, usable_within: float = 1800) -> None:
        self.limits = ProviderLimits(usable_within=usable_within)
        self.errors = list(errors)
        self.machines: dict[str, Machine] = {}
        self.calls: list[str] = []

    def create_machine(self, request: MachineRequest) -> Machine:
        self.calls.append("create")
        name = f"m-{len(self.calls)}"
        machine = Machine(request.token, name, request.cluster_id, request.node, reached_by="none")
        return self.machines.setdefault(request.token, machine)

    def machine_status(self, machine: Machine) -> Status:
        self.calls.append("confirm")
        if self.errors:
            raise self.errors.pop(0)
        address = f"127.0.0.{machine.node - 998}"
        machine = replace(machine, addresses={"access_v4": address, "bind_v4": address})
        self.machines[machine.token] = machine
        return Status(machine, MachineState.READY)

    def delete_machine(self, machine: Machine) -> None:
        self.calls.append("delete")
        self.machines.pop(machine.token, None)

    def find_machines(self, scope: Scope) -> list[Machine]:
        self.calls.append("find")
        return list(self.machines.values())


class GatedCloud(Cloud):
    """Machines that are ready at once, behind a gateway that nobody is."""

    def machine_status(self, machine: Machine) -> Status:
        """Tell where the machine would be reached."""
        status = super().machine_status(machine)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        key = paramiko.ECDSAKey.generate()
        pins = (f"{key.get_name()} {key.get_base64()}",)
        gateway = Gateway("127.0.0.1", port, "jump", pins)
        return replace(status, machine=replace(status.machine, gateway=gateway, reached_by="ssh", host_keys=pins))


class Recorder(Automator[ActionFields]):
    """An automator that remembers what it was given, and loses the connection as often as it is told."""

    fields_type = ActionFields

    def __init__(self) -> None:
        super().__init__()
        self.given: list[TaskContext] = []
        self.lost = 0

    def bootstrap(self, context: TaskContext, session: Any) -> Result:
        self.given.append(context)
        return Result()

    def run(self, context: TaskContext, session: Any) -> Result:
        self.given.append(context)
        if self.lost:
            self.lost -= 1
            raise OutcomeUnknown("the connection was lost")
        return Result(properties={"port": 5432})


class Job:
    """A cluster of two nodes in a real store, and the actions of its first job."""

    def __init__(self, store: Store, folder: Path, cloud: Cloud) -> None:
        self.store, self.cloud, self.recorder = store, cloud, Recorder()
        nodes = tuple(
            Node(number, services=("db",), placement=Placement("cloud", flavor="small")) for number in (1000, 1001)
        )
        layout = ClusterLayout(nodes, SERVICES, template="t", provider="cloud", config=CONFIG)
        request = ClusterRequest(name="c", template="t")
        self.cluster = record_cluster(store, request, ClusterTemplate(name="t"), layout, owner="bob")
        job = store.start_job(self.cluster.id, "CLUSTER_CREATE", plan("CLUSTER_CREATE", layout))
        self.tasks = {(task.action, task.node): task for task in store.tasks(job.id)}
        self.log = TaskLog(folder / "t.log", "t", "t", str, lambda level, text: None)
        self._folder = folder
        self.restart()

    def restart(self) -> None:
        """Go on with what another process would know."""
        self.actions = Actions(
            store=self.store,
            cluster=self.cluster,
            layout=self.store.layout(self.cluster.id),
            clouds=Clouds.of(self.cloud),
            automators={"fake": self.recorder},
            access=NodeAccess(self._folder / "no-key"),
            authorized_key="ssh-ed25519 AAAA",
            secret=lambda name: f"secret of {name}",
        )

    def do(self, action: str, node: int = 1000, attempt: int = 1) -> Result:
        task = self.tasks.get((action, node)) or self.task(action, node)
        return self.actions.perform(task, attempt, self.log)

    def task(self, action: str, node: int) -> TaskRecord:
        return replace(next(iter(self.tasks.values())), action=action, node=node, service="")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'coopr.db'}") as opened:
        yield opened


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("error", [MachineFailed("its state is ERROR"), MachineGone("there is no such machine")])
def test_a_machine_its_provider_gives_up_is_replaced_and_none_is_left(
    store: Store, tmp_path: Path, error: CooprError, attempt: int
) -> None:
    cloud = Cloud(error)
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    first = store.node(job.cluster.id, 1000).token
    job.do("CONFIRM", attempt=attempt)
    node = store.node(job.cluster.id, 1000)
    assert cloud.calls == ["create", "confirm", "delete", "create", "confirm"]
    assert (node.state, [node.token]) == (NodeState.CONFIRMED, list(cloud.machines))
    assert node.token != first


@pytest.mark.parametrize(
    "error",
    [
        Denied("the key is not valid"),
        Unreachable("it does not answer"),
        TimedOut("it does not get there"),
        CooprError("the API answers 500"),
    ],
    ids=lambda error: error.code,
)
def test_a_failed_look_is_no_reason_to_give_a_machine_up(store: Store, tmp_path: Path, error: CooprError) -> None:
    cloud = Cloud(error, error)
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    made = store.node(job.cluster.id, 1000)
    for attempt in (1, 2):
        with pytest.raises(type(error)):
            job.do("CONFIRM", attempt=attempt)
        assert store.node(job.cluster.id, 1000) == made
    job.do("CONFIRM", attempt=3)
    node = store.node(job.cluster.id, 1000)
    assert cloud.calls == ["create", "confirm", "confirm", "confirm"]
    assert (node.state, node.token) == (NodeState.CONFIRMED, made.token)


def test_a_machine_that_is_not_usable_in_its_time_is_replaced_also_by_a_later_process(
    store: Store, tmp_path: Path
) -> None:
    failed = CooprError("the API answers 500")
    cloud = Cloud(Unreachable("it does not answer"), failed, TimedOut("still booting"), usable_within=600)
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    first = store.node(job.cluster.id, 1000).token
    with pytest.raises(Unreachable):
        job.do("CONFIRM")
    with store._database.write() as connection:
        connection.execute(update(machines).values(created=datetime.now(UTC) - timedelta(seconds=601)))
    job.restart()
    with pytest.raises(CooprError, match="500"):
        job.do("CONFIRM", attempt=2)
    assert store.node(job.cluster.id, 1000).token == first, "a look that failed says nothing"
    job.do("CONFIRM", attempt=3)
    assert cloud.calls == ["create", "confirm", "confirm", "confirm", "delete", "create", "confirm"]
    assert [store.node(job.cluster.id, 1000).token] == list(cloud.machines) != [first]


def test_a_look_that_the_provider_refuses_for_now_is_made_again_when_it_may_be(store: Store, tmp_path: Path) -> None:
    cloud = Cloud(Throttled("Rate exceeded", retry_after=0.3), Throttled("Rate exceeded"))
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    began = time.monotonic()
    job.do("CONFIRM")
    assert time.monotonic() - began >= 0.3
    assert cloud.calls == ["create", "confirm", "confirm", "confirm"]


def test_asking_twice_for_a_machine_gives_the_same_one(store: Store, tmp_path: Path) -> None:
    cloud = Cloud()
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    job.do("CREATE", attempt=2)
    assert len(cloud.machines) == 1


def test_deleting_also_deletes_machines_the_store_lost_sight_of(store: Store, tmp_path: Path) -> None:
    cloud = Cloud()
    job = Job(store, tmp_path, cloud)
    for node in (1000, 1001):
        job.do("CREATE", node)
    stray = Machine("stray", "m-stray", job.cluster.id, 1001)
    other = Machine("other", "m-other", job.cluster.id, 1999)
    cloud.machines |= {"stray": stray, "other": other}
    for node in (1000, 1001):
        job.do("DELETE", node)
    assert cloud.calls.count("find") == 1
    assert list(cloud.machines) == ["other"]
    assert job.actions.machines.delete_strays() == [other]
    assert not cloud.machines
    assert {node.state for node in store.nodes(job.cluster.id)} == {NodeState.DELETED}


def test_a_node_whose_connection_was_lost_is_confirmed_again_before_the_next_attempt(
    store: Store, tmp_path: Path
) -> None:
    cloud = Cloud()
    job = Job(store, tmp_path, cloud)
    for node in (1000, 1001):
        job.do("CREATE", node)
        job.do("CONFIRM", node)
    job.recorder.lost = 1
    with pytest.raises(OutcomeUnknown):
        job.do("START")
    cloud.calls.clear()
    job.do("START", attempt=2)
    job.do("START", attempt=3)
    assert cloud.calls == ["confirm"]


def test_a_tasks_json_has_the_documented_keys_with_macros_expanded_for_its_node(store: Store, tmp_path: Path) -> None:
    job = Job(store, tmp_path, Cloud())
    for node in (1000, 1001):
        job.do("CREATE", node)
        job.do("CONFIRM", node)
    job.do("START", 1000)
    job.do("START", 1001)
    given = task_json(job.recorder.given[-1])
    names = [node.host_name for node in store.nodes(job.cluster.id)]
    task = job.tasks["START", 1001]
    expected = (task.id, task.job_id, job.cluster.id, "START", "1001")
    assert tuple(given[key] for key in ("taskId", "jobId", "clusterId", "taskName", "nodeId")) == expected
    config = given["config"]
    expanded = {"hosts": ",".join(names), "me": "127.0.0.3", "password": "secret of db", "port": 5}
    assert config["cluster"] == expanded
    command = f"date +%Y%m%d; echo {','.join(names)} 5 secret of db 50%% %ip.self%"
    action = {"type": "fake", "fields": {"command": command, "args": ["127.0.0.3", 5]}}
    assert config["service"] == {"name": "db", "action": action}
    assert (config["hostname"], config["nodenum"], config["services"]) == (names[1], 1001, ["db"])
    assert config["nodes"]["1000"]["ipaddresses"]["access_v4"] == "127.0.0.2"
    assert config["nodes"]["1000"]["port"] == 5432, "what a task reports is seen by later tasks"
    assert "secret of db" not in store.node(job.cluster.id, 1001).__repr__()


def test_a_macro_of_an_action_that_has_no_value_is_named_with_service_action_and_field(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"env": [{"peers": "%host.service.other%"}]}
    action = {"actions": {"start": {"type": "fake", "fields": fields}}}
    monkeypatch.setitem(SERVICES, "db", Service.model_validate({"name": "db", "provisioner": action}))
    job = Job(store, tmp_path, Cloud())
    job.do("CREATE")
    job.do("CONFIRM")
    with pytest.raises(UnresolvedMacro, match=r"service db: actions\.start\.fields\.env\[0\]\.peers: .*service other"):
        job.do("START")


def test_a_machine_behind_a_gateway_is_not_usable_before_it_lets_us_in(store: Store, tmp_path: Path) -> None:
    cloud = GatedCloud()
    cloud.limits = ProviderLimits(answers_within=0.1)
    ensure_client_key(tmp_path / "no-key")
    job = Job(store, tmp_path, cloud)
    job.do("CREATE")
    with pytest.raises(Unreachable, match=r"gateway 127\.0\.0\.1"):
        job.do("CONFIRM")
    assert job.store.node(job.cluster.id, 1000).state is NodeState.CREATED
