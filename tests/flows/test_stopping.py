"""A run that is interrupted or killed: what runs on nodes ends, the state is saved, and deleting works afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog
from watching import sleeping, wait_for

from coopr_core.model.states import ClusterState, JobState, TaskState
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = pytest.mark.real

CREATE = """
import sys
from coopr_core.errors import CooprError
from flows import create_cluster
try:
    create_cluster(name=sys.argv[1], template="tiny", size=2, catalog=[sys.argv[2]])
except CooprError as error:
    print(error, error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def started_create(store: Store, name: str, folder: Path, seconds: str) -> subprocess.Popen[str]:
    """A process that creates a cluster, once its service's install runs on both nodes (a sleep of so many seconds)."""
    write_catalog(folder, {"slow": service(install=f"echo begun; sleep {seconds}", start="true")})
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE, name, str(folder)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: len(sleeping(seconds)) == 2 or process.poll() is not None, "both nodes install", 120)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, "7001"), (signal.SIGTERM, "7002")])
def test_a_signal_ends_what_runs_on_the_nodes_saves_the_state_and_exits_130(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, number: signal.Signals, seconds: str
) -> None:
    from flows import delete_cluster

    name = f"stop{seconds}"
    process = started_create(store, name, tmp_path / "catalog", seconds)
    before = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - before < 30
    assert process.returncode == 130
    assert "was interrupted; its state is saved" in errors
    assert f"coopr delete {name}" in errors
    assert "Traceback" not in errors
    wait_for(lambda: not sleeping(seconds), "the commands end")
    cluster = store.cluster(name)
    job = store.jobs(cluster.id)[-1]
    assert (cluster.state, job.state) == (ClusterState.INCOMPLETE, JobState.INTERRUPTED)
    states = {task.action: task.state for task in store.tasks(job.id)}
    assert states["INSTALL"] is TaskState.INTERRUPTED
    assert states["START"] is TaskState.WAITING
    assert states["CONFIRM"] is TaskState.SUCCEEDED
    assert delete_cluster(name)["state"] == "TERMINATED"


def test_a_killed_run_is_taken_over_by_a_later_delete(prefect_server: ServerInfo, store: Store, tmp_path: Path) -> None:
    from flows import delete_cluster

    process = started_create(store, "killed", tmp_path / "catalog", "7003")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    cluster = store.cluster("killed")
    assert cluster.state is ClusterState.PENDING
    assert delete_cluster("killed")["state"] == "TERMINATED"
    assert [job.state for job in store.jobs(cluster.id)] == [JobState.INTERRUPTED, JobState.SUCCEEDED]
    assert not sleeping("7003")


def test_a_server_that_is_gone_is_no_failure_of_looking_whether_a_deployment_made_the_flow_run(
    prefect_server: ServerInfo,
) -> None:
    from prefect import flow
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.engine.context import is_deployed

    @flow
    def looked() -> tuple[bool, bool]:
        answered = is_deployed()
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            return answered, is_deployed()

    assert looked() == (False, False)
