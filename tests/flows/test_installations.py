"""Two installations on one Prefect server, and two stores on one state folder: each touches only its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flow_catalog import service, write_catalog
from prefect_server import api

import flows
from coopr_core.errors import Refused, TasksFailed
from coopr_core.model.states import ClusterState
from coopr_core.providers.scope import Scope
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = pytest.mark.usefixtures("fast_retries")

PARAMETERS: dict[str, dict[str, Any]] = {
    "create_cluster": {"name": "theirs", "template": "tiny"},
    "check_drift": {},
    "collect_garbage": {"delete": True},
    "reap_expired": {},
    "add_services": {"cluster": "theirs", "services": ["app"]},
    "replace_nodes": {"cluster": "theirs", "nodes": ["1000"]},
}
"""What flows are called with that want more, or less, than a cluster."""


class Installation:
    """One of the stores that share the server and this process' state folder."""

    def __init__(self, url: str, patch: pytest.MonkeyPatch) -> None:
        self._url, self._patch = url, patch
        self.act()
        with Store.open() as store:
            self.id = store.installation

    def act(self) -> None:
        """Let this process work for it from now on."""
        self._patch.setenv("COOPR_DATABASE_URL", self._url)

    @property
    def store(self) -> Store:
        self.act()
        return Store.open()


@pytest.fixture
def two(prefect_server: ServerInfo, tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    with pytest.MonkeyPatch.context() as patch:
        pair = tuple(Installation(f"sqlite:///{tmp_path / name}.db", patch) for name in ("ours", "theirs"))
        yield pair[0], pair[1]
        for installation in pair:
            with installation.store as store:
                for cluster in store.clusters():
                    flows.delete_cluster(cluster.name)
            published = {"deployments": {"tags": {"all_": [f"installation:{installation.id}"]}}}
            for deployment in api(prefect_server, "/deployments/filter", published):
                api(prefect_server, f"/deployments/{deployment['id']}", method="DELETE")


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return write_catalog(tmp_path / "catalog", {"app": service(start="true")})


def handed(flow: Any, parameters: dict[str, Any], *tags: str) -> str:
    """Run a flow run with these tags as a worker does, to its end; the run's id."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flow, parameters=parameters, tags=list(tags))
    run_flow(flow, flow_run=run, parameters=parameters, return_type="state")
    return str(run.id)


def content(store: Store) -> tuple[Any, ...]:
    return store.clusters(terminated=True), [store.history(cluster.id) for cluster in store.clusters()]


def test_every_flow_refuses_a_run_of_another_installation_at_once(
    prefect_server: ServerInfo, two: tuple[Installation, Installation], caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = two
    ours.act()
    for name in flows.__all__:
        parameters = PARAMETERS.get(name, {"cluster": "theirs"})
        run = handed(getattr(flows, name), parameters, f"installation:{theirs.id}")
        state = api(prefect_server, f"/flow_runs/{run}")["state"]
        assert state["type"] == "FAILED", name
        assert f"belongs to installation {theirs.id}" in state["message"], name
        assert f"works for installation {ours.id}" in state["message"], name
        assert "\n" not in state["message"].strip(), name
        assert "Traceback" not in caplog.text
    for installation in two:
        with installation.store as store:
            assert content(store) == ([], [])


def test_a_run_carries_its_installation_and_is_refused_elsewhere_when_prefect_runs_it_again(
    prefect_server: ServerInfo, two: tuple[Installation, Installation], tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    ours, theirs = two
    catalog = write_catalog(tmp_path / "catalog", {"app": service(start=f"test -e {tmp_path}/never")})
    with ours.store as store:
        with pytest.raises(TasksFailed):
            flows.create_cluster(name="shop", template="tiny", size=1, catalog=[catalog])
        cluster = store.cluster("shop")
        (job,) = store.jobs(cluster.id)
        machine = store.nodes(cluster.id)[0].machine
    run = api(prefect_server, f"/flow_runs/{job.flow_run_id}")
    assert f"installation:{ours.id}" in run["tags"]
    task = api(prefect_server, "/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 1})
    assert not any(tag.startswith("installation:") for each in task for tag in each["tags"])

    theirs.act()
    for tags in (run["tags"], [tag for tag in run["tags"] if not tag.startswith("installation:")]):
        # What the button "Retry" sends; the second time as a run of before there were installations.
        api(prefect_server, f"/flow_runs/{run['id']}", {"tags": tags}, method="PATCH")
        retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
        assert api(prefect_server, f"/flow_runs/{run['id']}/set_state", retry)["status"] == "ACCEPT"
        with get_client(sync_client=True) as client:
            again = client.read_flow_run(UUID(run["id"]))
        run_flow(flows.create_cluster, flow_run=again, parameters=again.parameters, return_type="state")
        state = api(prefect_server, f"/flow_runs/{run['id']}")["state"]
        assert (state["type"], "nothing was done" in state["message"]) == ("FAILED", True)
    with theirs.store as store:
        assert store.clusters(terminated=True) == []
    with ours.store as store:
        assert store.cluster("shop").state is ClusterState.INCOMPLETE
        assert store.nodes(cluster.id)[0].machine == machine
        assert len(store.jobs(cluster.id)) == 1


def test_clusters_of_equal_ids_on_one_state_folder_keep_their_machines(
    prefect_server: ServerInfo, two: tuple[Installation, Installation], catalog: str
) -> None:
    from coopr_core.maintenance.drift import find_drift
    from coopr_core.maintenance.leftovers import find_leftovers
    from coopr_core.providers.credentials import cluster_clouds
    from flows.vault import VAULT

    made = {}
    for installation in two:
        installation.act()
        made[installation] = flows.create_cluster(name="shop", template="tiny", size=1, catalog=[catalog])
    ids = {summary["cluster_id"] for summary in made.values()}
    assert ids == {"00000001"}
    ours, theirs = two
    for installation in two:
        with installation.store as store:
            assert find_drift(store, store.cluster("shop"), VAULT).findings == ()
            leftovers = find_leftovers(store, VAULT).items
            assert [item for item in leftovers if item.kind == "machine"] == []
    latest = api(prefect_server, "/artifacts/latest/filter", {"limit": 200})
    assert {f"cluster-{installation.id}-00000001" for installation in two} <= {each["key"] for each in latest}

    with theirs.store as store:
        assert flows.delete_cluster("shop")["state"] == "TERMINATED"
    with ours.store as store:
        cluster = store.cluster("shop")
        (node,) = store.nodes(cluster.id)
        cloud = cluster_clouds(cluster, VAULT).main
        assert [machine.token for machine in cloud.find(Scope(cluster_id=cluster.id)).machines] == [node.token]
        assert find_drift(store, cluster, VAULT).findings == ()
        assert node.machine is not None
        # A machine of before there were installations belongs to whoever knows its cluster.
        tag = load_settings().state_dir / "local" / "nodes" / node.machine["provider_id"] / "installation"
        assert tag.read_text() == ours.id
        tag.unlink()
        assert [machine.token for machine in cloud.find(Scope(ours.id, cluster.id)).machines] == [node.token]
        assert flows.delete_cluster("shop")["state"] == "TERMINATED"
        assert cloud.find(Scope(cluster_id=cluster.id)).machines == ()


def test_events_and_callbacks_say_whose_a_cluster_is(two: tuple[Installation, Installation], catalog: str) -> None:
    from flows.announcing import STARTED, describe

    ours, _ = two
    with ours.store as store:
        flows.create_cluster(name="told", template="tiny", size=1, catalog=[catalog])
        assert describe(STARTED, store, store.cluster("told"))["installation"] == ours.id


@pytest.mark.real
def test_two_installations_publish_beside_each_other(
    prefect_server: ServerInfo, two: tuple[Installation, Installation]
) -> None:
    from deployments.publish import publish

    first, second = two
    published = {}
    for installation in two:
        installation.act()
        published[installation] = publish()
    pools = {installation: {each["pool"] for each in published[installation]} for installation in two}
    assert pools == {installation: {f"coopr-{installation.id}"} for installation in two}
    ids = [each["id"] for installation in two for each in published[installation]]
    assert len(ids) == len(set(ids)) == 2 * len(flows.__all__)
    for installation in two:
        for each in published[installation]:
            found = api(prefect_server, f"/deployments/{each['id']}")
            assert set(found["tags"]) == {"coopr", f"installation:{installation.id}"}
            assert found["work_pool_name"] == f"coopr-{installation.id}"
    first.act()
    assert publish() == published[first]
    taken = published[second][0]["name"].partition("/")[2]
    with pytest.raises(Refused, match=f"were published from installation {second.id}"):
        publish(name=taken)

    gc = next(each["id"] for each in published[second] if each["name"].startswith("collect-garbage/"))
    run = api(prefect_server, f"/deployments/{gc}/create_flow_run", {"parameters": {}})
    assert f"installation:{second.id}" in run["tags"]


@pytest.mark.real
def test_what_prefects_own_command_publishes_carries_the_installation_that_the_environment_names(
    prefect_server: ServerInfo, two: tuple[Installation, Installation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments.publish import NAME
    from flows.belonging import installations

    file = Path(flows.__path__[0]).parent / "deployments" / "prefect.yaml"
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(file)]
    pool = [sys.executable, "-m", "prefect", "work-pool", "create", NAME, "--type", "process"]
    subprocess.run(pool, capture_output=True, check=False)
    monkeypatch.setenv("COOPR_INSTALLATION", two[0].id)
    done = subprocess.run([*command, "--all"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installations(api(prefect_server, "/deployments/name/collect-garbage/coopr")["tags"]) == {two[0].id}
