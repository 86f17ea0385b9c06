"""The process that runs a flow is killed at 30 points of a create, a scale and a delete; a retry ends it all the same.

Each round takes a cluster through its life, 2 nodes, then 3 (or back to 2 from 3), then none, and is killed once in
each operation. What is compared: the record, task by task, with that of a life that nobody disturbed; what ran on the
nodes; and what is left on this machine.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from crash_points import run_until
from flow_catalog import service, write_catalog
from watching import paths_below, sleeping

from coopr_core.errors import NotFound
from coopr_core.folders import logs_of
from coopr_core.model.states import ClusterState, JobState, NodeState, TaskState
from coopr_core.providers.local import LocalProvider
from coopr_core.providers.local.provider import elsewhere
from coopr_core.providers.scope import Scope
from coopr_core.settings import load_settings
from coopr_core.store import Store
from coopr_core.work.passwords import key_name
from flows.server import ServerInfo

pytestmark = pytest.mark.real

ROUNDS = 5
DAEMONS = {2: "86397", 3: "86398"}
"""How long the daemons of the lives that begin with so many nodes sleep, which tells them apart."""
FLOWS = ("create_cluster", "scale_cluster", "delete_cluster")

Shape = dict[str, Any]
"""What must be the same in a disturbed life and in one that was not."""


def daemon(seconds: str, action: str) -> str:
    """A start or stop of a process of the service's own, safe to repeat."""
    alive = 'grep -qs sleep "/proc/$(cat pid 2>/dev/null)/cmdline"'  # empty when it has ended, collected or not
    if action == "start":
        return f"cd $COOPR_DATA; echo start >> runs; {alive} || {{ sleep {seconds} >/dev/null 2>&1 & echo $! > pid; }}"
    return f'cd $COOPR_DATA; echo stop >> runs; ! {alive} || kill "$(cat pid)"; rm -f pid'


def services(seconds: str) -> dict[str, dict[str, Any]]:
    noted = {name: f"echo {name} >> $COOPR_DATA/runs" for name in ("install", "configure", "initialize", "remove")}
    return {
        "base": service(**noted, start=daemon(seconds, "start"), stop=daemon(seconds, "stop")),
        "top": service(requires=("base",), configure=f"{noted['configure']}; : $COOPR_CONFIG_WORD"),
    }


def steps(name: str, catalog: str, size: int) -> list[dict[str, Any]]:
    """The parameters of a life's three flows; it begins with ``size`` nodes and is scaled to 5 less as many."""
    create = {"name": name, "template": "tiny", "size": size, "catalog": [catalog]}
    return [create, {"cluster": name, "size": 5 - size}, {"cluster": name}]


def shape(store: Store, name: str, seconds: str) -> Shape:
    cluster = store.cluster(name, terminated=True)
    job = store.job(cluster.last_job or "")
    return {
        "cluster": (cluster.state, cluster.size),
        "job": (job.operation, job.state, job.stages),
        "tasks": [
            (t.id.rpartition("-")[2], t.stage, t.node, t.action, t.service, t.state) for t in store.tasks(job.id)
        ],
        "nodes": [(n.number, n.state, n.services, bool(n.token)) for n in store.nodes(cluster.id)],
        "machines": sorted(machine.node for machine in LocalProvider().find_machines(Scope(cluster_id=cluster.id))),
        "daemons": len(sleeping(seconds)),
    }


def succeeded(store: Store, name: str) -> dict[str, int]:
    """The tasks of the cluster's last job that have succeeded, with their attempts."""
    try:
        cluster = store.cluster(name, terminated=True)
    except NotFound:
        return {}
    found = store.tasks(cluster.last_job, state=TaskState.SUCCEEDED) if cluster.last_job else []
    return {task.id: task.attempts for task in found}


def attempted(store: Store, name: str) -> Counter[tuple[int, str, str]]:
    """How often each action of a service was tried on each node, over all jobs."""
    tries: Counter[tuple[int, str, str]] = Counter()
    for job in store.jobs(store.cluster(name).id):
        for task in store.tasks(job.id):
            if task.service:
                tries[task.node, task.service, task.action.lower()] += task.attempts
    return tries


def ran(store: Store, name: str) -> Counter[tuple[int, str, str]]:
    """How often each action of a service ran on each node that is there, as the nodes themselves noted."""
    times: Counter[tuple[int, str, str]] = Counter()
    for node in store.nodes(store.cluster(name).id):
        if node.state is NodeState.CONFIRMED:
            assert node.machine is not None
            for file in (Path(node.machine["root"]) / "var/lib/coopr").glob("*/runs"):
                times.update((node.number, file.parent.name, word) for word in file.read_text().split())
    return times


def go_on(store: Store, flow: str, parameters: dict[str, Any]) -> None:
    """What a user does after a crash: retry; or call again what had not even begun."""
    import flows

    name = parameters.get("name") or parameters["cluster"]
    wanted = {"create_cluster": "CLUSTER_CREATE", "scale_cluster": "SCALE", "delete_cluster": "CLUSTER_DELETE"}[flow]
    known = [cluster for cluster in store.clusters(terminated=True) if cluster.name == name]
    if known and store.job(known[-1].last_job or "").operation == wanted:
        flows.retry_cluster(name)
    else:
        getattr(flows, flow)(**parameters)


def check_nothing_left(store: Store, name: str, seconds: str) -> None:
    from prefect.blocks.system import Secret

    cluster = store.cluster(name, terminated=True)
    assert LocalProvider().find_machines(Scope(cluster_id=cluster.id)) == []
    assert not logs_of(cluster.id).exists()
    state = load_settings().state_dir
    left = [path for place in (state / "local", elsewhere(state)) for path in paths_below(place)]
    assert [path for path in left if cluster.id in path.name] == []
    assert not sleeping(seconds)
    with pytest.raises(ValueError, match="Unable to find block document"):
        Secret.load(key_name(store, cluster.id), _sync=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [2, 3])
def test_a_killed_operation_ends_as_an_undisturbed_one_when_it_is_retried(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, size: int
) -> None:
    seconds = DAEMONS[size]
    config = {"word": "%secret.word%"}
    catalog = write_catalog(tmp_path / "catalog", services(seconds), config=config)
    told = tmp_path / "point"

    # A life that nobody disturbs: how many points each operation has, and what it ends as.
    points: dict[str, int] = {}
    expected: dict[str, Shape] = {}
    for flow, parameters in zip(FLOWS, steps(f"calm{size}", catalog, size), strict=True):
        passed = run_until(0, flow, parameters, told)
        assert passed is not None
        points[flow] = passed
        expected[flow] = shape(store, f"calm{size}", seconds)
        assert expected[flow]["job"][1] is JobState.SUCCEEDED
    check_nothing_left(store, f"calm{size}", seconds)

    killed = 0
    for number in range(ROUNDS):
        name = f"round{size}-{number}"
        for flow, parameters in zip(FLOWS, steps(name, catalog, size), strict=True):
            point = 1 + round((points[flow] - 1) * (number + (size - 1.5) / 2) / ROUNDS)
            if run_until(point, flow, parameters, told) is not None:
                continue  # threads took another turn this time, and there were fewer points
            killed += 1
            where = f"round {number}, {flow} killed at point {told.read_text()}"
            before = succeeded(store, name)
            go_on(store, flow, parameters)
            assert shape(store, name, seconds) == expected[flow], where
            assert {task: store.task(task).attempts for task in before} == before, f"{where}: run twice"
            if flow != "delete_cluster":
                assert store.cluster(name).state is ClusterState.ACTIVE, where
                tries = attempted(store, name)
                for what, times in ran(store, name).items():
                    assert times <= tries[what], f"{where}: {what} ran {times} times"
        check_nothing_left(store, name, seconds)
    assert killed >= 3 * ROUNDS - 1
