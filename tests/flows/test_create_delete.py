"""Creating and deleting real clusters through a real Prefect server: what is left behind, and what is not."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow_catalog import service, write_catalog
from prefect_server import api
from store_samples import record_cluster
from watching import files_with, of_machines, paths_below

from coopr_core.errors import Busy, InvalidInput, NotFound, TasksFailed
from coopr_core.folders import logs_of
from coopr_core.model.states import AttemptState, ClusterState, JobState, TaskState
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = [pytest.mark.both, pytest.mark.usefixtures("fast_retries")]


def task_runs(server: ServerInfo, tag: str, count: int) -> list[dict[str, Any]]:
    """The task runs with a tag, once the API has caught up with all of them."""
    deadline = time.monotonic() + 60
    while True:
        found: list[dict[str, Any]] = api(
            server, "/task_runs/filter", {"task_runs": {"tags": {"all_": [tag]}}, "limit": 200}
        )
        if (len(found) == count and all(run["end_time"] for run in found)) or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def run_logs(server: ServerInfo, flow_run: str, wanted: str) -> list[str]:
    deadline = time.monotonic() + 60
    while True:
        body = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        messages = [log["message"] for log in api(server, "/logs/filter", body)]
        if any(wanted in message for message in messages) or time.monotonic() > deadline:
            return messages
        time.sleep(0.3)


def test_a_cluster_is_created_used_and_deleted_without_a_trace(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    catalog = write_catalog(
        tmp_path / "catalog",
        {
            "base": service(install="seq 1 500; echo base on $COOPR_HOST_NAME", start="sleep 3600 >/dev/null 2>&1 &"),
            "top": service(
                requires=("base",),
                links=({"label": "Top", "url": "http://%ip.access_v4.service.top[0]%:8080/"},),
                initialize="echo peers $COOPR_CONFIG_PEERS",
                start="echo the password is $COOPR_CONFIG_PASSWORD; coopr_lookup_key config/cluster/password",
            ),
        },
        config={"peers": "%ip.service.base%", "password": "%secret.admin%"},
        constraints={"services": {"top": {"quantities": {"min": 1, "max": 1}}}},
    )
    created = create_cluster(name="demo", template="tiny", size=2, catalog=[catalog], owner="alice")

    assert json.loads(json.dumps(created)) == created
    cluster_id, job = created["cluster_id"], created["job"]
    assert created["state"] == "ACTIVE"
    assert [node["services"] for node in created["nodes"]] == [["base", "top"], ["base"]]
    address = created["nodes"][0]["address"]
    assert created["links"] == [{"label": "Top", "url": f"http://{address}:8080/"}]
    record = store.cluster("demo")
    assert (record.state, record.owner, record.id) == (ClusterState.ACTIVE, "alice", cluster_id)
    tasks = store.tasks(job)
    assert all(task.state is TaskState.SUCCEEDED and task.attempts == 1 for task in tasks)

    # Prefect shows every task under its name, tagged, in a run that leads back to the job and forth.
    label = f"demo{int(cluster_id)}"
    flow_run = store.job(job).flow_run_id
    assert created["flow_run_url"].endswith(flow_run)
    assert api(prefect_server, f"/flow_runs/{flow_run}")["name"] == "create-cluster demo"
    runs = task_runs(prefect_server, f"job:{job}", len(tasks))
    names = {run["name"]: run for run in runs}
    assert {f"START top @ {label}-1000", f"CREATE @ {label}-1001"} <= names.keys()
    start = names[f"START top @ {label}-1000"]
    stage = next(task.stage for task in tasks if task.service == "top" and task.action == "START")
    assert set(start["tags"]) == {"cluster:demo", f"job:{job}", f"stage:{stage}", "action:START"}
    assert {task.task_run_id for task in tasks} == {run["id"] for run in runs}
    artifacts = api(prefect_server, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run]}}})
    assert {artifact["type"] for artifact in artifacts} == {"progress", "markdown"}
    assert next(a for a in artifacts if a["type"] == "progress")["data"] == 100.0

    # Every line is in the task's file and, with the task's id, in the run's log; the password is nowhere.
    install = next(task for task in tasks if task.action == "INSTALL" and task.node == 1000)
    lines = Path(install.log).read_text().splitlines()
    assert lines[0].startswith("==> ")
    assert [str(n) for n in range(1, 501)] == [line for line in lines if line.isdecimal()]
    messages = run_logs(prefect_server, flow_run, "the password is")
    assert any(f"{install.id} | base on {label}-1000.local" in message for message in messages)
    assert len(messages) < 200, "a chatty task must not drown the API"
    assert any("the password is ***" in message for message in messages)
    from prefect.blocks.system import Secret

    from coopr_core.work.passwords import derive, key_name

    password = derive(str(Secret.load(key_name(store, cluster_id)).get()), "admin")
    kept = [path for path in paths_below(load_settings().state_dir) if "local" not in path.parts]
    assert kept
    assert files_with(kept, password.encode()) == []

    assert of_machines(cluster_id), "the services run"
    deleted = delete_cluster("demo")
    assert deleted["state"] == "TERMINATED"
    assert store.cluster("demo", terminated=True).state is ClusterState.TERMINATED
    assert not logs_of(cluster_id).exists()
    assert [p for p in paths_below(load_settings().state_dir / "local") if cluster_id in p.name] == []
    assert of_machines(cluster_id) == []
    with pytest.raises(ValueError, match="Unable to find block document"):
        Secret.load(key_name(store, cluster_id))
    assert delete_cluster(cluster_id)["state"] == "TERMINATED", "deleting twice is a success"


def test_a_failing_install_names_node_task_reason_and_way_out_and_nothing_after_it_starts(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    services = {
        "bad": service(install="echo fetching; echo no space left >&2; exit 1", start="true"),
        "later": service(install="true", requires=("bad",), start="true"),
    }
    catalog = write_catalog(tmp_path / "catalog", services)
    with pytest.raises(TasksFailed) as caught:
        create_cluster(name="broken", template="tiny", size=2, catalog=[catalog])
    cluster = store.cluster("broken")
    job = store.jobs(cluster.id)[-1]
    failed = [task for task in store.tasks(job.id) if task.state is TaskState.FAILED]
    first = next(task for task in failed if f"coopr logs {task.id}" in caught.value.hint)
    assert (first.action, first.service, first.attempts) == ("INSTALL", "bad", 3)
    message = str(caught.value)
    for part in (
        "the cluster is INCOMPLETE",
        f"INSTALL bad @ broken{int(cluster.id)}-{first.node}",
        first.id,
        "3 attempts",
        "exit status 1",
        "no space left",
        first.log,
    ):
        assert part in message
    assert "coopr delete broken" in caught.value.hint
    assert caught.value.exit_code == 5
    assert cluster.state is ClusterState.INCOMPLETE
    assert job.state is JobState.FAILED
    assert "no space left" in job.message
    assert not any(t.attempts for t in store.tasks(job.id) if t.stage > first.stage)
    run = api(prefect_server, f"/flow_runs/{job.flow_run_id}")
    assert run["state"]["type"] == "FAILED"
    assert "no space left" in run["state"]["message"]
    assert "Traceback" not in "".join(run_logs(prefect_server, job.flow_run_id, "did not succeed"))
    assert Path(first.log).read_text().count("==> ") == 3

    assert delete_cluster("broken")["state"] == "TERMINATED"


def test_a_task_that_fails_once_is_tried_again_in_the_same_task_run(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    flaky = 'n="$COOPR_DATA/tries"; echo x >> "$n"; test "$(wc -l < "$n")" -ge 2 || { echo not yet; exit 7; }'
    catalog = write_catalog(tmp_path / "catalog", {"flaky": service(start=flaky)})
    created = create_cluster(name="flaky", template="tiny", catalog=[catalog], schedule="dataflow")
    assert created["state"] == "ACTIVE"
    task = next(task for task in store.tasks(created["job"]) if task.action == "START")
    attempts = store.attempts(task.id)
    assert [(a.state, a.exit_status) for a in attempts] == [(AttemptState.FAILED, 7), (AttemptState.SUCCEEDED, 0)]
    assert attempts[0].task_run_id == attempts[1].task_run_id
    (run,) = [r for r in task_runs(prefect_server, f"job:{created['job']}", 4) if r["id"] == task.task_run_id]
    assert run["run_count"] == 2
    delete_cluster("flaky")


def test_a_node_whose_ssh_server_dies_mid_run_comes_back_and_the_task_is_tried_again(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    kill = 'test -e "$COOPR_DATA/again" || { touch "$COOPR_DATA/again"; sleep 30; }; echo survived'
    catalog = write_catalog(tmp_path / "catalog", {"victim": service(install=kill)})

    def assassin() -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if any(path.name == "again" for path in paths_below(load_settings().state_dir / "local")):
                server = next(p for p in psutil.process_iter(["cmdline"]) if _is_node_server(p))
                server.kill()
                return
            time.sleep(0.1)

    thread = threading.Thread(target=assassin)
    thread.start()
    created = create_cluster(name="victim", template="tiny", catalog=[catalog])
    thread.join()
    assert created["state"] == "ACTIVE"
    task = next(task for task in store.tasks(created["job"]) if task.action == "INSTALL")
    attempts = store.attempts(task.id)
    assert [a.state for a in attempts] == [AttemptState.UNKNOWN, AttemptState.SUCCEEDED]
    assert "lost" in attempts[0].message
    log = Path(task.log).read_text()
    assert "looking whether it is there" in log
    assert "survived" in log
    delete_cluster("victim")


def _is_node_server(process: psutil.Process) -> bool:
    line = process.info["cmdline"] or []
    return line[-2:] == ["coopr_core.providers.local.server", str(load_settings().state_dir)]


def test_what_cannot_work_is_refused_before_anything_is_recorded(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from blocks import LocalProviderSettings
    from flows import create_cluster

    catalog = write_catalog(
        tmp_path / "catalog", {"lonely": service(start="true")}, config={"db": {"host": "%host.service.database%"}}
    )
    before = store.clusters(terminated=True)
    with pytest.raises(InvalidInput, match=r"config\.db\.host: .*database"):
        create_cluster(name="macro", template="tiny", catalog=[catalog])
    with pytest.raises(NotFound, match="no-such-template"):
        create_cluster(name="x", template="no-such-template", catalog=[catalog])
    with pytest.raises(InvalidInput, match="cluster name"):
        create_cluster(name="not a name", template="tiny", catalog=[catalog])
    unsaved = LocalProviderSettings(port=2300)
    good = {"config": {"db": 1}, "config_mode": "replace"}
    with pytest.raises(InvalidInput, match="is not saved"):
        create_cluster(name="x", template="tiny", catalog=[catalog], provider_settings=unsaved, **good)
    assert store.clusters(terminated=True) == before


def test_settings_and_key_of_a_cluster_come_from_saved_blocks(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from blocks import LocalProviderSettings, SshKey
    from coopr_core.remote.keys import ensure_client_key
    from flows import create_cluster, delete_cluster

    ensure_client_key(tmp_path / "key")
    LocalProviderSettings(port=2345).save("own-port", overwrite=True)
    SshKey(private_key=(tmp_path / "key").read_text()).save("own-key", overwrite=True)
    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="true")})
    created = create_cluster(
        name="blocks",
        template="tiny",
        catalog=[catalog],
        provider_settings=LocalProviderSettings.load("own-port"),
        ssh_key=SshKey.load("own-key"),
    )
    assert created["nodes"][0]["port"] == 2345
    assert store.cluster("blocks").credentials == "coopr-local-provider-settings/own-port"
    run = api(prefect_server, f"/flow_runs/{store.job(created['job']).flow_run_id}")
    assert "PRIVATE KEY" not in json.dumps(run)
    with pytest.raises(InvalidInput, match="taken"):
        create_cluster(name="blocks", template="tiny", catalog=[catalog])
    assert delete_cluster("blocks")["state"] == "TERMINATED"


def test_a_second_operation_is_refused_as_busy_while_one_runs(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from coopr_core.operations.create import prepare_create
    from flows import delete_cluster

    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="true")})
    prepared = prepare_create({"name": "busy", "template": "tiny"}, catalog=[catalog], store=store)
    cluster = record_cluster(store, prepared.request, prepared.template, prepared.layout, owner="bob")
    job = store.start_job(cluster.id, "CLUSTER_CREATE", prepared.plan)
    with pytest.raises(Busy, match=job.id) as caught:
        delete_cluster("busy")
    assert caught.value.exit_code == 9
    store.finish_job(job.id, JobState.FAILED, "given up")


def test_a_cluster_whose_name_is_in_another_script_runs_and_grows(store: Store, tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster, scale_cluster

    catalog = write_catalog(
        tmp_path / "catalog", {"app": service(start='echo "$COOPR_HOST_NAME" | LC_ALL=C grep -x "[a-z0-9.-]*"')}
    )
    made = create_cluster(name="日本", template="tiny", size=1, catalog=[catalog])
    label = f"日本{int(made['cluster_id'])}-1000".encode("idna").decode()
    assert (made["state"], made["nodes"][0]["host_name"]) == ("ACTIVE", f"{label}.local")
    grown = scale_cluster("日本", size=2)
    assert (grown["state"], len(grown["nodes"])) == ("ACTIVE", 2)
    assert grown["nodes"][1]["host_name"].isascii()
    assert delete_cluster("日本")["state"] == "TERMINATED"
