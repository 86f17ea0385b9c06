"""The work on services on a real SSH server: preparing nodes, resources that come later, what is lost."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_servers import AsyncServer, machine_at
from store_samples import record_cluster
from watching import wait_for

from coopr_core.automators import resources
from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import ActionFields, Automator, Result
from coopr_core.automators.shell import ShellAutomator
from coopr_core.catalog import Catalog
from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import CooprError
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.records import TaskRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import NodeState, TaskState
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.session import Session
from coopr_core.store import Store
from coopr_core.work.membership import Membership
from coopr_core.work.picture import ClusterPicture
from coopr_core.work.services import ServiceActions
from coopr_core.work.task_log import TaskLog


class Tool(Automator[ActionFields]):
    """An automator that works from here, without the node's folders."""

    fields_type = ActionFields

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[TaskContext] = []

    def bootstrap(self, context: TaskContext, session: Session) -> Result:
        self.seen.append(context)
        return Result(tail=("the tool is there",))

    def run(self, context: TaskContext, session: Session) -> Result:
        self.seen.append(context)
        return Result(properties={"port": 80})


class Usable:
    """Machines that are always usable."""

    def __init__(self, picture: ClusterPicture) -> None:
        self._picture = picture

    def usable(self, number: int, log: TaskLog) -> Any:
        return self._picture.machine(number)


class Job:
    """The services of a cluster of one node."""

    def __init__(self, store: Store, folder: Path, access: NodeAccess, server: AsyncServer, *names: str) -> None:
        (folder / "root").mkdir()
        write_catalog(folder / "catalog")
        services = Catalog.load([folder / "catalog"], builtin=False).services
        layout = ClusterLayout((Node(1000, services=names),), {n: services[n] for n in names}, config={"a": "b"})
        request = ClusterRequest(name="c", template="t")
        cluster = record_cluster(store, request, ClusterTemplate(name="t"), layout, owner="bob")
        self.picture = ClusterPicture(store, cluster, store.layout(cluster.id), Membership())
        machine = machine_at(server.port, server.host_keys, root=str(folder / "root"), token=cluster.id)
        self.picture.record_machine(1000, machine, NodeState.CONFIRMED)
        self.tool, self.root = Tool(), folder / "root"
        automators = {"shell": ShellAutomator(), "tool": self.tool}
        self.services = ServiceActions(self.picture, automators, Usable(self.picture), access)  # type: ignore[arg-type]
        self.log = TaskLog(folder / "log", "t", "t", str, lambda level, text: None)
        self.written = folder / "log"

    def task(self, action: str, service: str = "") -> TaskRecord:
        cluster = self.picture.cluster.id
        return TaskRecord(f"{cluster}-001-001", f"{cluster}-001", cluster, 0, 1000, action, service, TaskState.RUNNING)

    def run(self, service: str) -> Result:
        return self.services.run(self.task("START", service), self.log)


def write_catalog(folder: Path) -> None:
    (folder / "resources").mkdir(parents=True)
    (folder / "resources" / "big.bin").write_bytes(bytes(range(256)))
    (folder / "services").mkdir()
    for name, kind, fields, named in (
        ("big", "shell", '{command: "cmp $COOPR_RESOURCES/big.bin $COOPR_RESOURCES/big.bin"}', "big.bin"),
        ("small", "shell", "{command: 'true'}", ""),
        ("far", "tool", "{}", ""),
    ):
        text = f"resources: [{named}]\nprovisioner: {{actions: {{start: {{type: {kind}, fields: {fields}}}}}}}\n"
        (folder / "services" / f"{name}.yaml").write_text(f"name: {name}\n{text}")


@pytest.fixture
def access(key_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeAccess]:
    monkeypatch.setenv("COOPR_CACHE_DIR", str(tmp_path / "cache"))
    with NodeAccess(key_path) as made:
        yield made


def test_a_node_is_prepared_once_for_all_its_automators(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer
) -> None:
    job = Job(store, tmp_path, access, async_server, "far", "small")
    assert job.services.bootstrap(job.task("BOOTSTRAP"), job.log).tail == ("the tool is there",)
    assert (job.root / "var/lib/coopr/.coopr/services/small").is_dir()
    assert [job.run(service).exit_status for service in ("far", "small")] == [0, 0]
    told = job.tool.seen[-1]
    assert (told.action, told.service and told.service.name, told.config) == ("START", "far", {"a": "b"})
    assert job.tool.seen[0].config == {}, "BOOTSTRAP may run before the config can be expanded"
    assert job.picture.node(1000).properties == {"port": 80}


def test_a_node_of_automators_that_work_from_here_is_not_connected_to(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer
) -> None:
    job = Job(store, tmp_path, access, async_server, "far")
    assert job.services.bootstrap(job.task("BOOTSTRAP"), job.log).exit_status == 0
    assert job.run("far").exit_status == 0
    assert not list(job.root.iterdir())


def test_tasks_that_need_no_resource_go_on_while_it_travels_and_the_one_that_does_waits(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, original = threading.Event(), resources.send

    def held(*given: Any) -> int:
        assert may_go.wait(60)
        return original(*given)

    monkeypatch.setattr("coopr_core.automators.deliveries.send", held)
    job = Job(store, tmp_path, access, async_server, "big", "small")
    try:
        assert "sending the resources big.bin" in job.services.bootstrap(job.task("BOOTSTRAP"), job.log).tail[0]
        assert job.run("small").exit_status == 0
        ran: list[Result] = []
        waiting = threading.Thread(target=lambda: ran.append(job.run("big")))
        waiting.start()
        wait_for(lambda: "waiting for what is on its way: big.bin" in job.written.read_text(), "it waits")
        assert not ran
    finally:
        may_go.set()
    waiting.join(60)
    assert [result.exit_status for result in ran] == [0]
    assert "bringing it again" not in job.written.read_text()


def test_a_resource_that_did_not_arrive_or_was_lost_is_brought_by_the_action_that_needs_it(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(store, tmp_path, access, async_server, "big")
    failing = iter([True])

    def once(*given: Any) -> int:
        if next(failing, False):
            raise CooprError("the disk is full")
        return original(*given)

    original = resources.send
    monkeypatch.setattr("coopr_core.automators.deliveries.send", once)
    assert job.services.bootstrap(job.task("BOOTSTRAP"), job.log).exit_status == 0
    job.services.settle()
    assert job.run("big").exit_status == 0
    assert "bringing it again" in job.written.read_text()
    shutil.rmtree(job.root / "var/lib/coopr/.coopr/store")
    assert job.run("big").exit_status == 0


def test_resources_are_packed_while_machines_are_made_so_that_a_catalog_may_go_on(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer
) -> None:
    job = Job(store, tmp_path, access, async_server, "big")
    job.services.pack()
    job.services.settle()
    shutil.rmtree(tmp_path / "catalog")
    job.services.bootstrap(job.task("BOOTSTRAP"), job.log)
    assert job.run("big").exit_status == 0


def test_what_settles_a_job_is_on_its_nodes(
    store: Store, tmp_path: Path, access: NodeAccess, async_server: AsyncServer
) -> None:
    job = Job(store, tmp_path, access, async_server, "big")
    job.services.bootstrap(job.task("BOOTSTRAP"), job.log)
    job.services.settle()
    found = job.root / "var/lib/coopr/.coopr/resources/big/big.bin"
    assert found.read_bytes() == bytes(range(256))
