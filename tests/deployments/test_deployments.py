"""The flows as deployments: triggered with nothing but HTTP calls to Prefect's API, run by a real worker process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from prefect_server import api, files_with_password
from watching import sleeping, wait_for

from coopr_core.errors import InvalidInput
from coopr_core.model.states import ClusterState, JobState
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.real


@pytest.fixture
def worker(prefect_server: ServerInfo, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process worker on the pool ``coopr``, started in an empty directory that is none of ours."""
    folder = tmp_path / "anywhere"
    folder.mkdir()
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "coopr", "--name", "tester"]
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(30)


def run(server: ServerInfo, deployment: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Trigger a deployment by name and wait for its run's end."""
    known = api(server, f"/deployments/name/{deployment}")
    created = api(server, f"/deployments/{known['id']}/create_flow_run", {"parameters": parameters})
    return finished(server, created["id"])


def finished(server: ServerInfo, run_id: str) -> dict[str, Any]:
    """A flow run, once it has ended."""
    deadline = time.monotonic() + 150
    while True:
        found: dict[str, Any] = api(server, f"/flow_runs/{run_id}")
        if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return found
        assert time.monotonic() < deadline, found["state"]
        time.sleep(0.5)


def test_a_cluster_is_created_and_deleted_with_nothing_but_http_calls(
    prefect_server: ServerInfo, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    from deployments.publish import publish

    published = publish("coopr")
    named = {each["name"] for each in published}
    assert {"create-cluster/coopr", "delete-cluster/coopr", "reap-expired/coopr"} <= named
    assert publish("coopr") == published

    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="echo $COOPR_CONFIG_GREETING")})
    parameters = {"name": "remote", "template": "tiny", "catalog": [catalog], "config": {"greeting": "hello"}}
    created = run(prefect_server, "create-cluster/coopr", parameters)
    assert created["state"]["type"] == "COMPLETED", (tmp_path / "worker.log").read_text()
    assert created["name"] == "create-cluster remote"
    with Store.open() as store:
        assert store.cluster("remote").state is ClusterState.ACTIVE
        assert store.jobs(store.cluster("remote").id)[0].flow_run_id == created["id"]
        assert {event["via"] for event in store.history(store.cluster("remote").id)} == {"deployment"}

        refused = run(prefect_server, "create-cluster/coopr", parameters)
        assert refused["state"]["type"] == "FAILED"
        assert "the cluster name 'remote' is taken" in refused["state"]["message"]

        deleted = run(prefect_server, "delete-cluster/coopr", {"cluster": "remote"})
        assert deleted["state"]["type"] == "COMPLETED"
        assert store.cluster("remote", terminated=True).state is ClusterState.TERMINATED
    assert worker.poll() is None
    assert files_with_password(prefect_server) == [prefect_server.password_file], "it went into a record or a log"
    assert (tmp_path / "worker.log").read_bytes().find(os.environ["PREFECT_API_AUTH_STRING"].encode()) == -1


def test_a_run_takes_blocks_picked_in_the_form_and_parameters_as_they_were_before_they_were_grouped(
    prefect_server: ServerInfo, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    from blocks import LocalProviderSettings, SshKey
    from coopr_core.remote.keys import ensure_client_key
    from deployments.publish import publish
    from flows import delete_cluster

    publish("coopr")
    ensure_client_key(tmp_path / "key")
    port = LocalProviderSettings(port=2346).save("picked-port", overwrite=True)
    key = SshKey(private_key=(tmp_path / "key").read_text()).save("picked-key", overwrite=True)
    picked = {name: {"$ref": {"block_document_id": str(id)}} for name, id in (("port", port), ("key", key))}
    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="true")})
    asked = {"name": "grouped", "template": "tiny", "size": 1, "catalog": [catalog]}
    machines = {"dns_suffix": "lab", "credentials": picked["port"], "ssh_key": picked["key"], "hardware_type": None}
    now = {**asked, "machines": machines, "failure": {"on_failure": "rollback"}}
    nothing = dict.fromkeys(("services", "provider", "image_type", "config", "lease", "owner", "tenant", "min_nodes"))
    before = {"dns_suffix": "lab", "provider_settings": picked["port"], "ssh_key": picked["key"], "optimize": "cost"}
    before |= {"hardware_type": "local-small", "on_failure": "rollback", "max_concurrency": 2, "schedule": "dataflow"}
    for parameters in (now, {**asked, **nothing, **before, "config_mode": "merge", "confirmed": ""}):
        made = run(prefect_server, "create-cluster/coopr", parameters)
        assert made["state"]["type"] == "COMPLETED", made["state"]["message"] + (tmp_path / "worker.log").read_text()
        with Store.open() as store:
            cluster = store.cluster("grouped")
            (node,) = store.nodes(cluster.id)
            assert node.host_name.endswith(".lab")
            assert node.machine is not None
            assert node.machine["port"] == 2346
            kept = store.job_parameters(store.jobs(cluster.id)[0].id)
            assert kept.policy.on_failure == "rollback"
            assert (kept.schedule, kept.max_concurrency) == (("stages", 32) if parameters is now else ("dataflow", 2))
        assert delete_cluster("grouped")["state"] == "TERMINATED"


def test_cancelling_a_run_in_prefect_ends_what_runs_on_the_nodes_and_saves_the_state(
    prefect_server: ServerInfo, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    from deployments.publish import publish
    from flows import delete_cluster

    publish("coopr")
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install="sleep 7005")})
    known = api(prefect_server, "/deployments/name/create-cluster/coopr")
    parameters = {"name": "cancelled", "template": "tiny", "catalog": [catalog]}
    started = api(prefect_server, f"/deployments/{known['id']}/create_flow_run", {"parameters": parameters})
    wait_for(lambda: bool(sleeping("7005")), "the task runs", 180)
    cancelling = {"state": {"type": "CANCELLING"}}
    api(prefect_server, f"/flow_runs/{started['id']}/set_state", cancelling)
    wait_for(lambda: not sleeping("7005"), "the task is ended")
    found = finished(prefect_server, started["id"])
    assert found["state"]["type"] == "CANCELLED", found["state"]
    with Store.open() as store:
        cluster = store.cluster("cancelled")
        assert cluster.state is ClusterState.INCOMPLETE
        assert store.jobs(cluster.id)[0].state is JobState.INTERRUPTED
    assert delete_cluster("cancelled")["state"] == "TERMINATED"


def test_the_custom_run_form_has_types_choices_blocks_and_a_description_of_every_parameter(
    prefect_server: ServerInfo,
) -> None:
    from deployments.publish import publish

    for deployment in publish("coopr"):
        schema = api(prefect_server, f"/deployments/{deployment['id']}")["parameter_openapi_schema"]
        assert all(field.get("description") for field in schema["properties"].values())
    schema = api(prefect_server, "/deployments/name/create-cluster/coopr")["parameter_openapi_schema"]
    assert schema["required"] == ["name", "template"]
    assert schema["properties"]["schedule"]["enum"] == ["stages", "dataflow"]
    assert {"minimum": 1, "type": "integer"} in schema["properties"]["size"]["anyOf"]
    assert {d.get("block_type_slug") for d in schema["definitions"].values()} >= {
        "coopr-ssh-key",
        "coopr-local-provider-settings",
    }


def test_expired_clusters_are_reaped_by_schedule_and_publishing_again_changes_no_schedule(
    prefect_server: ServerInfo,
) -> None:
    from deployments.publish import publish

    publish("coopr")
    known = api(prefect_server, "/deployments/name/reap-expired/coopr")
    schedule = known["schedules"][0]
    assert (schedule["slug"], schedule["schedule"]["interval"], schedule["active"]) == ("every-10-minutes", 600, True)
    assert known["global_concurrency_limit"]["limit"] == 2
    path = f"/deployments/{known['id']}/schedules"
    api(prefect_server, f"{path}/{schedule['id']}", {"active": False}, method="PATCH")
    publish("coopr")
    kept = api(prefect_server, path)
    assert [(each["slug"], each["active"]) for each in kept] == [("every-10-minutes", False)]


def test_prefects_own_command_publishes_the_same_from_any_directory(prefect_server: ServerInfo, tmp_path: Path) -> None:
    from deployments.publish import publish
    from flows.belonging import installations

    before = publish("coopr")
    file = ROOT / "deployments" / "prefect.yaml"
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for deployment in before:
        found = api(prefect_server, f"/deployments/{deployment['id']}")
        assert found["entrypoint"].startswith("flows.")
        assert found["work_pool_name"] == "coopr"
        assert not found["pull_steps"]
        assert not installations(found["tags"]), "the file alone does not know whose it is published for"


def test_a_pool_of_another_type_is_refused(prefect_server: ServerInfo) -> None:
    from deployments.publish import publish

    api(prefect_server, "/work_pools/", {"name": "not-ours", "type": "docker"})
    with pytest.raises(InvalidInput, match="of type 'docker'"):
        publish("not-ours")
    assert load_settings().state_dir.exists()
