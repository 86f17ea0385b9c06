"""An operation of another package runs on a cluster like ours: its flow, its command, its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from operation_plugin import installed_reload

from coopr_core.errors import Refused
from coopr_core.model.states import JobState
from coopr_core.store import Store
from flows.server import ServerInfo


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    return Coopr(capsys)


def test_an_operation_of_another_package_is_run_by_its_flow_and_by_its_command(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, coopr: Coopr, caplog: pytest.LogCaptureFixture
) -> None:
    import flows

    catalog = write_catalog(tmp_path / "catalog", {"web": service(configure="echo read", start="true")})
    cluster = flows.create_cluster(name="reloaded", template="tiny", size=1, catalog=[catalog])["cluster_id"]
    with installed_reload(tmp_path / "site"):
        summary = flows.reload_services("reloaded", ["web"], schedule="dataflow", max_concurrency=1)
        assert (summary["cluster_id"], summary["state"]) == (cluster, "ACTIVE")
        assert "reloaded has read ['web'] again" in caplog.text, "what it does at its end"
        job = store.job(summary["job"])
        assert (str(job.operation), job.state) == ("RELOAD_SERVICES", JobState.SUCCEEDED)
        assert [task.action for task in store.tasks(job.id)] == ["BOOTSTRAP", "CONFIGURE"]

        refused = coopr("reload", "reloaded")
        assert (refused.code, refused.err) == (
            10,
            "Error: Reload services of cluster reloaded? Nobody is there to answer.\n"
            "  hint: add -y to go ahead without asking\n",
        )
        done = coopr("reload", "reloaded", "--rolling", "-y")
        assert (done.code, done.out.splitlines()[-1]) == (0, "Cluster reloaded is ACTIVE.")
        assert "reloaded has read everything again" in caplog.text
        with pytest.raises(Refused, match="is not the digest"):
            flows.reload_services("reloaded", confirmed="yes")
        listed = coopr("show", "reloaded").out
        assert listed.count("RELOAD_SERVICES") == 2
        flows.delete_cluster("reloaded")
