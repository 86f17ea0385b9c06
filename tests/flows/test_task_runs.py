"""The task runs of a job in Prefect: linked to what they waited for, tagged, in threads or in other processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from prefect_server import api
from watching import sleeping, wait_for

from coopr_core.errors import Interrupted, TasksFailed
from coopr_core.model.states import AttemptState, JobState, TaskState
from coopr_core.operations.control import prepare_abort, stop_job
from coopr_core.planner import Plan, Task
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


@dataclass(frozen=True)
class Runs:
    """The task runs of a job in each of its flow runs, by task, as Prefect knows them."""

    plan: Plan
    job: str
    first: dict[Task, dict[str, Any]]
    second: dict[Task, dict[str, Any]]
    graphs: tuple[dict[str, list[str]], dict[str, list[str]]]
    """The ids of each task run's parents in the graph of the run's page."""


def task_runs(server: ServerInfo, flow_run: str) -> list[dict[str, Any]]:
    body = {"flow_runs": {"id": {"any_": [flow_run]}}, "limit": 200}
    runs: list[dict[str, Any]] = api(server, "/task_runs/filter", body)
    return runs


def ended(server: ServerInfo, flow_run: str, count: int) -> list[dict[str, Any]]:
    """The task runs of a flow run once the server knows the ends of so many."""

    def known() -> bool:
        runs = task_runs(server, flow_run)
        return len(runs) == count and all(run["state_type"] in ("COMPLETED", "FAILED") for run in runs)

    wait_for(known, f"the server knows {count} task runs", 120)
    return task_runs(server, flow_run)


def parents(server: ServerInfo, flow_run: str) -> dict[str, list[str]]:
    nodes = api(server, f"/flow_runs/{flow_run}/graph-v2")["nodes"]
    return {key: [parent["id"] for parent in node["parents"]] for key, node in nodes}


@pytest.fixture(scope="module")
def runs(prefect_server: ServerInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A cluster whose last start failed, and was retried."""
    from flows import create_cluster, delete_cluster, retry_cluster

    first_time = 'test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; exit 4; }'
    failing = f'[ "$COOPR_NODE_NUMBER" != 1001 ] || {first_time}'
    catalog = write_catalog(
        tmp_path_factory.mktemp("linked") / "catalog",
        {"db": service(start="true"), "app": service(requires=("db",), install="true", start=failing)},
    )
    with Store.open() as store:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COOPR_ATTEMPTS", "1")
            with pytest.raises(TasksFailed):
                create_cluster(name="linked", template="tiny", size=2, catalog=[catalog], max_concurrency=1)
        job = store.jobs(store.cluster("linked").id)[-1]
        plan = Plan.from_json(store.recorded_plan(job.id))
        by_id = {task.id: Task(task.node, task.action, task.service) for task in store.tasks(job.id)}
        first = {by_run: task for task in store.tasks(job.id) if (by_run := task.task_run_id)}
        before = ended(prefect_server, job.flow_run_id, len(first))
        retry_cluster("linked")
        flow_run = store.job(job.id).flow_run_id
        again = [task for task in store.tasks(job.id) if task.task_run_id not in first]
        after = ended(prefect_server, flow_run, len(again))
        of_run = {task.task_run_id: by_id[task.id] for task in [*first.values(), *again]}
        yield Runs(
            plan,
            job.id,
            {of_run[run["id"]]: run for run in before},
            {of_run[run["id"]]: run for run in after},
            (parents(prefect_server, job.flow_run_id), parents(prefect_server, flow_run)),
        )
        delete_cluster("linked")


def test_a_task_run_is_linked_to_some_of_those_it_waited_for(runs: Runs) -> None:
    graph = runs.graphs[0]
    assert len(graph) == len(runs.first) > 10
    for task, run in runs.first.items():
        expected = {runs.first[before]["id"] for before in runs.plan.predecessors(task, 4)}
        assert set(graph[run["id"]]) == expected, task
        assert len(expected) <= 4
        assert bool(expected) == bool(runs.plan.dependencies(task))


def test_a_retry_links_its_task_runs_to_none_of_the_run_before(runs: Runs) -> None:
    graph = runs.graphs[1]
    own = {run["id"] for run in runs.second.values()}
    assert set(graph) == own
    assert all(set(before) <= own for before in graph.values())
    assert {task.action for task in runs.second} == {"START"}


def test_a_task_run_is_named_and_tagged_by_what_it_does(runs: Runs) -> None:
    stage = {task: number for number, tasks in enumerate(runs.plan.stages, start=1) for task in tasks}
    for task, run in runs.first.items():
        wanted = {"cluster:linked", f"job:{runs.job}", f"stage:{stage[task]}", f"action:{task.action}"}
        assert wanted <= set(run["tags"])
        assert run["name"].startswith(f"{task.action} {task.service}".strip() + " @ linked")


@pytest.fixture
def elsewhere(prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two processes that flows may run their tasks in; none may run in this one."""
    from prefect.task_runners import ProcessPoolTaskRunner

    from flows.engine import context

    def refuse(job_id: str, run: str) -> None:
        raise AssertionError(f"a task of job {job_id} runs in the flow's process")

    monkeypatch.setattr(context._contexts, "using", refuse)
    return ProcessPoolTaskRunner(max_workers=2)


def test_tasks_run_in_other_processes_and_are_tried_again_logged_and_recorded_as_ever(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, elsewhere: Any
) -> None:
    from flows import create_cluster, delete_cluster

    once = 'test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; exit 4; }'
    commands = {"install": once, "configure": "echo peers $COOPR_CONFIG_PEERS", "start": "echo no luck; exit 5"}
    catalog = write_catalog(tmp_path / "catalog", {"app": service(**commands)}, config={"peers": "%host.service.app%"})
    create = create_cluster.with_options(task_runner=elsewhere)
    with pytest.raises(TasksFailed) as caught:
        create(name="apart", template="tiny", size=2, catalog=[catalog])
    assert "START app @ apart" in str(caught.value)
    assert "exit status 5" in str(caught.value)
    assert "    no luck" in str(caught.value)
    cluster = store.cluster("apart")
    job = store.jobs(cluster.id)[-1]
    assert job.state is JobState.FAILED
    tasks = store.tasks(job.id)
    assert {t.attempts for t in tasks if t.action == "INSTALL"} == {2}
    assert {t.state for t in tasks if t.action != "START"} == {TaskState.SUCCEEDED}
    hosts = ",".join(node.host_name for node in store.nodes(cluster.id))
    configured = [task for task in tasks if task.action == "CONFIGURE"]
    assert all(f"peers {hosts}\n" in Path(task.log).read_text() for task in configured)
    logged = {"logs": {"task_run_id": {"any_": [configured[0].task_run_id]}}}

    def lines() -> list[str]:
        return [line["message"] for line in api(prefect_server, "/logs/filter", logged)]

    wait_for(lambda: f"{configured[0].id} | peers {hosts}" in lines(), "the line is in the task run's log")
    delete = delete_cluster.with_options(task_runner=elsewhere)
    assert delete("apart")["state"] == "TERMINATED"


def test_aborting_ends_what_runs_in_other_processes(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster, delete_cluster, retry_cluster

    slow = 'test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; sleep 7031; }'
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=slow, start="true")})
    raised: list[BaseException] = []

    def create() -> None:
        try:
            flow = create_cluster.with_options(task_runner=elsewhere)
            flow(name="apart-slow", template="tiny", size=2, catalog=[catalog])
        except Interrupted as error:
            raised.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    wait_for(lambda: len(sleeping("7031")) == 2, "both nodes install", 120)
    job = stop_job(store, prepare_abort(store, "apart-slow", timeout=60))
    thread.join()
    assert job.state is JobState.INTERRUPTED
    assert "was aborted; its state is saved" in str(raised[0])
    wait_for(lambda: not sleeping("7031"), "the commands end")
    installs = [task for task in store.tasks(job.id) if task.action == "INSTALL"]
    assert {task.state for task in installs} == {TaskState.INTERRUPTED}
    monkeypatch.undo()
    assert retry_cluster("apart-slow")["state"] == "ACTIVE"
    (_, last) = store.attempts(installs[0].id)
    assert last.state is AttemptState.SUCCEEDED
    delete_cluster("apart-slow")
