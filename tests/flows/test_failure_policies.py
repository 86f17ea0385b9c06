"""What becomes of a job whose nodes cannot all be made: held, rolled back, or gone on without."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import InvalidInput, Refused, TasksFailed
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.states import ClusterState, JobState
from coopr_core.settings import load_settings
from coopr_core.store import Store

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


NOT_ON = '[ "$COOPR_NODE_NUMBER" != {} ] || {{ echo "no luck"; exit 4; }}'


def machines_left() -> list[str]:
    folder = load_settings().state_dir / "local" / "nodes"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_create_that_is_rolled_back_leaves_no_machine_and_names_what_it_removed(
    store: Store, tmp_path: Path, clean: None
) -> None:
    from flows import create_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start=NOT_ON.format(1001))})
    with pytest.raises(TasksFailed, match=r"rolled back: deleted demo\d+-1000.local, demo\d+-1001.local") as caught:
        create_cluster(name="demo", template="tiny", size=2, catalog=[catalog], on_failure="rollback")
    assert "START app" in str(caught.value)
    assert "coopr retry" not in caught.value.hint
    assert store.called("demo") is None
    gone = store.cluster("demo", terminated=True)
    assert gone.state is ClusterState.TERMINATED
    assert store.jobs(gone.id)[-1].state is JobState.ROLLED_BACK
    assert machines_left() == []


def test_a_create_goes_on_without_a_node_as_long_as_enough_of_its_layout_are_left(
    store: Store, tmp_path: Path, clean: None
) -> None:
    from flows import create_cluster

    commands = {"install": NOT_ON.format(1001), "configure": "echo peers $COOPR_CONFIG_PEERS", "start": "true"}
    catalog = write_catalog(tmp_path / "catalog", {"app": service(**commands)}, config={"peers": "%host.service.app%"})
    with pytest.raises(TasksFailed):
        create_cluster(name="few", template="tiny", size=3, catalog=[catalog], on_failure="continue", min_nodes=3)
    assert store.cluster("few").state is ClusterState.INCOMPLETE

    made = create_cluster(name="demo", template="tiny", size=3, catalog=[catalog], on_failure="continue", min_nodes=2)
    assert made["state"] == "ACTIVE"
    assert [node["number"] for node in made["nodes"]] == [1000, 1002]
    assert store.cluster("demo").size == 2
    job = store.job(made["job"])
    assert job.state is JobState.SUCCEEDED
    assert "went on without demo" in job.message
    assert "INSTALL app" in job.message
    hosts = [node["host_name"] for node in made["nodes"]]
    configured = [task for task in store.tasks(job.id) if task.action == "CONFIGURE" and task.node == 1000]
    assert Path(configured[0].log).read_text().endswith(f"peers {','.join(hosts)}\n")
    assert len([name for name in machines_left() if name.startswith(made["cluster_id"])]) == 2


def test_a_scale_that_is_rolled_back_leaves_the_cluster_as_it_was(store: Store, tmp_path: Path, clean: None) -> None:
    from flows import create_cluster, scale_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start=NOT_ON.format(1002))})
    created = create_cluster(name="demo", template="tiny", size=2, catalog=[catalog])
    before = machines_left()
    with pytest.raises(TasksFailed, match=r"the cluster is ACTIVE\nrolled back: deleted demo\d+-1002.local"):
        scale_cluster("demo", size=3, on_failure="rollback")
    cluster = store.cluster("demo")
    assert (cluster.state, cluster.size, store.request(cluster.id).size) == (ClusterState.ACTIVE, 2, 2)
    assert [node.number for node in store.nodes(cluster.id)] == [node["number"] for node in created["nodes"]]
    assert sorted(machines_left()) == sorted(before)
    with pytest.raises(Refused, match="was rolled back"):
        store.resume_job(store.jobs(cluster.id)[-1].id)

    grown = scale_cluster("demo", size=4, on_failure="continue")
    assert [node["number"] for node in grown["nodes"]] == [1000, 1001, 1003]
    assert store.cluster("demo").size == 3


def test_enough_nodes_can_only_be_said_to_continue() -> None:
    with pytest.raises(InvalidInput, match="--min-nodes says how many nodes are enough"):
        FailurePolicy.of("rollback", 2)
    with pytest.raises(InvalidInput, match="at least 1 node"):
        FailurePolicy.of("continue", 0)
    assert FailurePolicy.from_json(FailurePolicy.of("continue", 2).to_json()) == FailurePolicy("continue", 2)
    assert FailurePolicy.from_json({}) == FailurePolicy()
