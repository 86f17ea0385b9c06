"""A flow run that Prefect runs again continues its job: "Retry" and "Resume" of Prefect's UI, as its API hears them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, until, write_catalog
from prefect_server import api

from coopr_core.model.states import JobState, TaskState
from coopr_core.operations.control import prepare_pause, stop_job
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = pytest.mark.real


@pytest.fixture
def worker(prefect_server: ServerInfo, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "coopr", "--name", "again"]
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(30)


def started(server: ServerInfo, deployment: str, parameters: dict[str, Any]) -> str:
    known = api(server, f"/deployments/name/{deployment}")
    return str(api(server, f"/deployments/{known['id']}/create_flow_run", {"parameters": parameters})["id"])


def state_of(server: ServerInfo, run: str, *wanted: str, seconds: float = 120) -> dict[str, Any]:
    """The flow run's state once it is one of ``wanted``, which are names."""
    deadline = time.monotonic() + seconds
    while True:
        state: dict[str, Any] = api(server, f"/flow_runs/{run}")["state"]
        if state["name"] in wanted:
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.3)


def test_retry_and_resume_of_a_flow_run_go_on_with_its_job(
    prefect_server: ServerInfo, tmp_path: Path, worker: subprocess.Popen[bytes], readable: Path
) -> None:
    from deployments.publish import publish

    publish("coopr")
    paused = readable / "paused"
    runs = 'echo run >> "$COOPR_DATA/runs"'
    catalog = write_catalog(
        tmp_path / "catalog",
        {
            "one": service(install=f'{runs}; test -e "$COOPR_DATA/../repaired"', start=until(paused)),
            "two": service(requires=("one",), start="true"),
        },
    )
    parameters = {"name": "later", "template": "tiny", "catalog": [catalog]}
    run = started(prefect_server, "create-cluster/coopr", parameters)
    with Store.open() as store:
        assert "failed" in state_of(prefect_server, run, "Failed", "Completed", "Crashed")["message"]
        cluster = store.cluster("later")
        (job,) = store.jobs(cluster.id)
        assert (job.state, job.flow_run_id) == (JobState.FAILED, run)
        failed_once = store.tasks(job.id)
        machine = store.nodes(cluster.id)[0].machine
        assert machine is not None
        (Path(machine["root"]) / "var/lib/coopr/repaired").touch()

        # What the button "Retry" of the UI sends.
        retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the Prefect UI"}}
        assert api(prefect_server, f"/flow_runs/{run}/set_state", retry)["status"] == "ACCEPT"
        deadline = time.monotonic() + 120
        while not any(t.action == "START" for t in store.tasks(job.id, state=TaskState.RUNNING)):
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            time.sleep(0.2)

        # Paused from here, it is suspended there, and the button "Resume" sends this.
        stop_job(store, prepare_pause(store, "later"))
        paused.touch()
        state_of(prefect_server, run, "Suspended")
        assert store.job(job.id).state is JobState.PAUSED
        assert store.job(job.id).claimed_by == ""
        assert api(prefect_server, f"/flow_runs/{run}/resume", {})["status"] == "ACCEPT"
        state_of(prefect_server, run, "Completed")

        assert [each.id for each in store.jobs(cluster.id)] == [job.id]
        assert store.job(job.id).state is JobState.SUCCEEDED
        again = store.tasks(job.id)
        assert [task.id for task in again] == [task.id for task in failed_once]
        for before, after in zip(failed_once, again, strict=True):
            assert after.state is TaskState.SUCCEEDED
            assert before.state is not TaskState.SUCCEEDED or after.attempts == before.attempts
        assert store.nodes(cluster.id)[0].machine == machine

        deletion = started(prefect_server, "delete-cluster/coopr", {"cluster": "later"})
        state_of(prefect_server, deletion, "Completed")
    assert worker.poll() is None
