"""A run whose server has become another, one that does not know it, ends with one message, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import start
from flow_catalog import service, until, write_catalog
from prefect_server import api
from watching import wait_for

from coopr_core.model.states import JobState
from coopr_core.store import Store
from flows import delete_cluster
from flows.server import ServerInfo

pytestmark = pytest.mark.real


def test_a_run_that_the_server_does_not_know_any_more_is_one_message_with_what_to_do(
    prefect_server: ServerInfo, tmp_path: Path, readable: Path
) -> None:
    forgotten = readable / "forgotten"
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=until(forgotten))})
    process = start("create", "forgotten", "--catalog", catalog, "--template", "tiny", "-y")
    with Store.open() as store:

        def flow_run() -> str:
            cluster = next((each for each in store.clusters() if each.name == "forgotten"), None)
            jobs = store.jobs(cluster.id) if cluster else []
            return jobs[0].flow_run_id if jobs else ""

        run = wait_for(flow_run, "the flow runs", 120)
        cluster = store.cluster("forgotten")
        wait_for(lambda: store.nodes(cluster.id)[0].machine, "its machine", 120)
        api(prefect_server, f"/flow_runs/{run}", method="DELETE")
        forgotten.touch()
        error = process.communicate(timeout=240)[1]
        assert process.returncode == 4, error
        assert "does not know this flow run" in error
        assert "coopr retry" in error
        assert "Traceback" not in error
        assert store.jobs(cluster.id)[0].state is not JobState.RUNNING
    delete_cluster("forgotten")
