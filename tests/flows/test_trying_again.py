"""Whether trying again helps is the error's word: never, later, elsewhere. Real flows on nodes whose provider fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog
from shaky_provider import Script, ShakyProvider, install

from coopr_core.errors import CooprError, Denied, MachineFailed, NoCapacity, TasksFailed, Throttled, Unreachable
from coopr_core.model.placement import Placement
from coopr_core.model.records import TaskRecord
from coopr_core.model.states import ClusterState, JobState
from coopr_core.providers.contract import MachineRequest
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Scope
from coopr_core.store import Store
from coopr_core.work import patience
from flows.server import ServerInfo
from flows.vault import VAULT

pytestmark = pytest.mark.usefixtures("fast_retries")


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return write_catalog(tmp_path / "catalog", {"app": service(start="true")})


@pytest.fixture
def script(tmp_path: Path, catalog: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    found = install(tmp_path / "site", catalog, monkeypatch)
    yield found
    from flows import delete_cluster

    found.errors.clear()
    for cluster in store.clusters():
        delete_cluster(cluster.name)


def last_tasks(store: Store, name: str) -> dict[str, TaskRecord]:
    job = store.cluster(name).last_job
    assert job is not None
    return {task.action: task for task in store.tasks(job)}


def test_a_throttled_look_keeps_the_machine_and_looks_again_when_the_provider_allows_it(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str
) -> None:
    from flows import create_cluster

    script.fail("confirm", Throttled("Rate exceeded", retry_after=1.5))
    made = create_cluster(name="busy", template="tiny", size=1, catalog=[catalog])
    assert made["state"] == "ACTIVE"
    first, second = script.called("confirm")
    (machine,) = (node.machine for node in store.nodes(made["cluster_id"]))
    assert machine is not None
    assert first == second == machine["provider_id"]
    assert script.called() == ["create", "confirm", "confirm"]
    began = [moment for name, _, moment in script.calls if name == "confirm"]
    assert began[1] - began[0] >= 1.5
    assert last_tasks(store, "busy")["CONFIRM"].attempts == 1, "to be left alone is no failure"


def test_looks_that_all_failed_leave_the_machine_and_a_retry_looks_again(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str
) -> None:
    from flows import create_cluster, retry_cluster

    script.fail("confirm", *(CooprError("the API answers 500") for _ in range(3)))
    with pytest.raises(TasksFailed, match="the API answers 500"):
        create_cluster(name="busy", template="tiny", size=1, catalog=[catalog])
    cluster = store.cluster("busy")
    (left,) = store.nodes(cluster.id)
    assert (cluster.state, left.machine is not None) == (ClusterState.INCOMPLETE, True)
    assert script.called() == ["create", "confirm", "confirm", "confirm"]
    assert retry_cluster("busy")["state"] == "ACTIVE"
    (node,) = store.nodes(cluster.id)
    assert (node.token, script.called("create"), script.called("delete")) == (left.token, ["1000"], [])


def test_what_never_helps_is_not_tried_again(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str
) -> None:
    from flows import create_cluster, retry_cluster

    script.fail("confirm", Denied("the key is not valid", hint="renew the key"))
    with pytest.raises(TasksFailed, match="the key is not valid") as caught:
        create_cluster(name="denied", template="tiny", size=1, catalog=[catalog])
    assert "renew the key" in caught.value.hint
    assert script.called() == ["create", "confirm"]
    assert last_tasks(store, "denied")["CONFIRM"].attempts == 1
    assert retry_cluster("denied")["state"] == "ACTIVE"
    assert script.called("create") == ["1000"]


def test_a_machine_that_failed_is_made_anew_and_a_full_place_is_asked_again(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str
) -> None:
    from flows import create_cluster

    script.fail("create", NoCapacity("no room in zone a", placement="a"))
    script.fail("confirm", MachineFailed("its state is ERROR"))
    made = create_cluster(name="unlucky", template="tiny", size=1, catalog=[catalog])
    assert made["state"] == "ACTIVE"
    assert script.called() == ["create", "create", "confirm", "delete", "create", "confirm"]
    failed, replaced = script.called("confirm")
    assert script.called("delete") == [failed] != [replaced]


def test_a_machine_that_is_not_usable_in_the_time_its_provider_gives_it_is_made_anew(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster

    assert ShakyProvider.limits.usable_within == 1800
    monkeypatch.setattr(ShakyProvider, "limits", ProviderLimits(usable_within=1.0))
    script.fail("confirm", Throttled("Rate exceeded", retry_after=1.1), Unreachable("it does not answer"))
    assert create_cluster(name="slow", template="tiny", size=1, catalog=[catalog])["state"] == "ACTIVE"
    assert script.called() == ["create", "confirm", "confirm", "delete", "create", "confirm"]


def test_a_delete_goes_on_when_its_provider_is_busy_and_is_never_done_because_a_look_failed(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str
) -> None:
    from flows import create_cluster, delete_cluster

    made = create_cluster(name="leaving", template="tiny", size=1, catalog=[catalog])
    script.fail("find", *(CooprError("the API answers 500") for _ in range(3)))
    with pytest.raises(TasksFailed, match="the API answers 500"):
        delete_cluster("leaving")
    (node,) = store.nodes(made["cluster_id"])
    assert (store.cluster("leaving").state, node.machine is not None) == (ClusterState.INCOMPLETE, True)
    assert script.called("delete") == []

    script.calls.clear()
    script.fail("find", Throttled("Rate exceeded"))
    assert delete_cluster("leaving")["state"] == "TERMINATED"
    assert store.jobs(made["cluster_id"])[-1].state is JobState.SUCCEEDED
    assert len(script.called("delete")) == 1


def test_a_leftover_that_could_not_be_looked_at_again_does_not_count_as_deleted(
    prefect_server: ServerInfo, store: Store, script: Script, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coopr_core.maintenance.leftovers import delete_leftovers, find_leftovers
    from coopr_core.providers.credentials import cluster_clouds
    from coopr_core.remote.keys import authorized_key, own_key
    from flows import create_cluster

    monkeypatch.setenv("COOPR_CATALOG", catalog)
    made = create_cluster(name="strays", template="tiny", size=1, catalog=[catalog])
    cluster = store.cluster("strays")
    cloud = cluster_clouds(cluster, VAULT).main
    scope = Scope(cluster_id=cluster.id, cluster_name="strays", authorized_key=authorized_key(own_key()))
    stray = cloud.create(MachineRequest("lost-9", scope, 1000, "stray", Placement(image="python")))
    found = find_leftovers(store, VAULT)
    mine = [item for item in found.items if item.cluster == f"strays ({made['cluster_id']})"]
    assert [stray.provider_id in item.name for item in mine] == [True]
    script.fail("find", *[Unreachable("no route to the cloud")] * 50)
    (problem,) = delete_leftovers(store, mine, VAULT).values()
    assert "no route to the cloud" in problem
    script.errors.clear()
    assert stray in cloud.find(scope).machines
    assert list(delete_leftovers(store, mine, VAULT).values()) == [""]
    assert stray not in cloud.find(scope).machines
