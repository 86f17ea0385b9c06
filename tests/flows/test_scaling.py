"""Nodes come, go and are made anew on real clusters, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.operations import Operation
from coopr_core.model.states import TaskState
from coopr_core.operations.replace import prepare_replace
from coopr_core.operations.scale import prepare_scale
from coopr_core.solver import Unsatisfiable
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


NOTE = (
    'echo "$COOPR_ACTION $COOPR_SERVICE peers=$COOPR_CONFIG_PEERS leaving=${COOPR_LEAVING:-}" >> "$COOPR_DATA/../done"'
)
COMMANDS = dict.fromkeys(("install", "configure", "start", "stop", "remove"), NOTE)


def catalog_in(folder: Path) -> str:
    """``app`` on all nodes but one, ``front`` on that one; front restarts for its peers, ``quiet`` reloads them."""
    front = {**service(**COMMANDS), "config": ["peers"]}
    quiet = {**service(**COMMANDS), "config": ["peers"], "reloads": ["peers"]}
    app = {**service(**COMMANDS), "config": ["port"]}
    return write_catalog(
        folder,
        {"app": app, "front": front, "quiet": quiet},
        config={"peers": "%host.service.app%", "port": 80},
        constraints={
            "layout": {"cantcoexist": [["app", "front"]], "mustcoexist": [["front", "quiet"]]},
            "services": {
                "app": {"quantities": {"min": 1}},
                "front": {"quantities": {"min": 1, "max": 1}},
                "quiet": {"quantities": {"min": 1, "max": 1}},
            },
            "size": {"min": 2, "max": 6},
        },
    )


@pytest.fixture
def cluster(prefect_server: ServerInfo, store: Store, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes the cluster ``demo``: two nodes with ``app`` and one with ``front`` and ``quiet``."""
    from flows import create_cluster, delete_cluster

    def make(**options: Any) -> str:
        catalog = catalog_in(tmp_path / "catalog")
        create_cluster(name="demo", template="tiny", size=3, catalog=[catalog], **options)
        return catalog

    yield make
    if any(known.name == "demo" for known in store.clusters()):
        delete_cluster("demo")


def services(store: Store) -> dict[int, tuple[str, ...]]:
    return {node.number: node.services for node in store.nodes(store.cluster("demo").id)}


def machines(store: Store) -> dict[int, str]:
    return {n.number: n.machine["provider_id"] for n in store.nodes(store.cluster("demo").id) if n.machine}


def last_tasks(store: Store) -> list[tuple[str, str, int]]:
    job = store.jobs(store.cluster("demo").id)[-1]
    return [(task.action, task.service, task.node) for task in store.tasks(job.id)]


def notes(store: Store, number: int) -> list[str]:
    machine = store.node(store.cluster("demo").id, number).machine
    assert machine is not None
    return (Path(machine["root"]) / "var/lib/coopr/done").read_text().splitlines()


def test_a_cluster_scales_out_and_in_by_service_and_what_stays_adapts_without_moving(
    store: Store, cluster: Callable[..., str]
) -> None:
    from flows import scale_cluster

    cluster()
    before, made = services(store), machines(store)
    (front,) = [number for number, names in before.items() if "front" in names]
    apps = [number for number in before if number != front]
    preview = prepare_scale(store, "demo", counts={"app": 4})
    assert tuple(preview.plan.changes) == (2, 1, 0)

    grown = scale_cluster("demo", counts={"app": 4})
    assert grown["state"] == "ACTIVE"
    assert services(store) == {**before, 1003: ("app",), 1004: ("app",)}
    assert {n: m for n, m in machines(store).items() if n in made} == made
    assert store.cluster("demo").size == 5
    assert store.request(store.cluster("demo").id).size == 5
    touched = {(action, name) for action, name, node in last_tasks(store) if node == front}
    assert touched == {
        ("BOOTSTRAP", ""),
        ("STOP", "front"),
        ("CONFIGURE", "front"),
        ("START", "front"),
        ("CONFIGURE", "quiet"),
    }
    assert not [task for task in last_tasks(store) if task[2] in apps]
    host = {node["number"]: node["host_name"] for node in grown["nodes"]}
    everyone = ",".join(host[number] for number in (*apps, 1003, 1004))
    assert f"configure front peers={everyone} leaving=" in notes(store, front)
    assert host[1003].startswith(f"demo{int(grown['cluster_id'])}-1003.")

    shrunk = scale_cluster("demo", size=3)
    assert shrunk["state"] == "ACTIVE"
    assert services(store) == before
    assert machines(store) == made
    assert store.cluster("demo").size == 3
    order = last_tasks(store)
    assert order[-2:] == [("DELETE", "", 1003), ("DELETE", "", 1004)]
    assert [task for task in order if task[2] == 1004] == [
        ("STOP", "app", 1004),
        ("REMOVE", "app", 1004),
        ("DELETE", "", 1004),
    ]
    assert order.index(("START", "front", front)) < order.index(("STOP", "app", 1004))
    assert f"configure quiet peers={host[apps[0]]},{host[apps[1]]} leaving=" in notes(store, front)

    again = scale_cluster("demo", size=3)
    assert again["job"] == "", "there was nothing to do"
    assert len(store.jobs(store.cluster("demo").id)) == 3


def test_what_leaves_is_told_so_and_still_sees_the_others(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster, scale_cluster

    note = 'echo "peers=$COOPR_CONFIG_PEERS leaving=${COOPR_LEAVING:-}"'
    catalog = write_catalog(
        tmp_path / "more", {"app": service(start="true", stop=note)}, config={"peers": "%host.service.app%"}
    )
    created = create_cluster(name="demo", template="tiny", size=3, catalog=[catalog])
    hosts = [node["host_name"] for node in created["nodes"]]
    job = scale_cluster("demo", size=1)["job"]
    said = {task.node: Path(task.log).read_text() for task in store.tasks(job) if task.action == "STOP"}
    delete_cluster("demo")
    assert said[1000].endswith(f"peers={hosts[0]} leaving=\n")
    assert said[1002].endswith(f"peers={','.join(hosts)} leaving={hosts[1]} {hosts[2]}\n")


def test_what_cannot_be_is_refused_before_anything_is_touched(store: Store, cluster: Callable[..., str]) -> None:
    cluster()
    with pytest.raises(Unsatisfiable, match="front = 2"):
        prepare_scale(store, "demo", counts={"front": 2})
    with pytest.raises(InvalidInput, match="does not allow a cluster of 9 nodes"):
        prepare_scale(store, "demo", size=9)
    with pytest.raises(InvalidInput, match="one of the two"):
        prepare_scale(store, "demo")
    with pytest.raises(InvalidInput, match="one of the two"):
        prepare_scale(store, "demo", size=3, counts={"app": 3})
    with pytest.raises(InvalidInput, match="this makes none"):
        prepare_scale(store, "demo", size=2, on_failure="rollback")
    with pytest.raises(NotFound, match="no node 1007"):
        prepare_replace(store, "demo", ["1007"])
    assert len(store.jobs(store.cluster("demo").id)) == 1


def test_a_replaced_node_keeps_number_name_and_services_and_the_others_are_not_touched(
    store: Store, cluster: Callable[..., str]
) -> None:
    from flows import replace_nodes

    cluster()
    before, made = services(store), machines(store)
    (front,) = [number for number, names in before.items() if "front" in names]
    victim = next(number for number in before if number != front)
    said = notes(store, front)
    hosts = {node.number: node.host_name for node in store.nodes(store.cluster("demo").id)}

    summary = replace_nodes("demo", [hosts[victim].partition(".")[0]])
    assert summary["state"] == "ACTIVE"
    assert services(store) == before
    assert {node.number: node.host_name for node in store.nodes(store.cluster("demo").id)} == hosts
    now = machines(store)
    assert now[victim] != made[victim]
    assert {n: m for n, m in now.items() if n != victim} == {n: m for n, m in made.items() if n != victim}
    assert notes(store, front) == said
    assert notes(store, victim)[0].startswith("install app")
    assert store.jobs(store.cluster("demo").id)[-1].operation is Operation.REPLACE_NODES
    assert all(task.state is TaskState.SUCCEEDED for task in store.tasks(summary["job"]))
