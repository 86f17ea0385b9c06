"""Drift and leftovers on real local clusters: what is found, what is left alone, what is deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog

from coopr_core.errors import Busy
from coopr_core.folders import known_hosts_of, logs_of
from coopr_core.model.placement import Placement
from coopr_core.model.records import ClusterRecord
from coopr_core.planner import plan
from coopr_core.providers.contract import Machine, MachineRequest
from coopr_core.providers.credentials import cluster_clouds
from coopr_core.providers.scope import Scope
from coopr_core.remote.keys import authorized_key, own_key
from coopr_core.store import Store
from flows.vault import VAULT

pytestmark = pytest.mark.real


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    return Coopr(capsys)


@pytest.fixture(scope="module")
def cluster(prefect_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRecord]:
    """Two nodes with a service whose health is a file, one without a health action, and a password."""
    from flows import create_cluster, delete_cluster

    catalog = write_catalog(
        tmp_path_factory.mktemp("catalog"),
        {
            "well": service(
                configure="true",
                start="touch $COOPR_DATA/well",
                stop="rm -f $COOPR_DATA/well",
                health="test -e $COOPR_DATA/well || { echo not well, $COOPR_CONFIG_PASSWORD; exit 3; }",
            ),
            "plain": service(start="true"),
        },
        config={
            "password": "%secret.admin%",
            "peers": "%ip.service.well%",
            "port": 4222,
            "path": "x",
            "url": "/%config.path%",
        },
    )
    created = create_cluster(name="drifting", template="tiny", size=2, catalog=[catalog])
    with Store.open() as opened:
        yield opened.cluster(created["cluster_id"])
    delete_cluster("drifting")


def root_of(store: Store, cluster: ClusterRecord, number: int = 1000) -> Path:
    machine = store.node(cluster.id, number).machine
    assert machine is not None
    return Path(machine["root"])


def our_key() -> str:
    return authorized_key(own_key())


def kinds(coopr: Coopr, *, code: int = 2) -> list[tuple[str, int | None, str]]:
    outcome = coopr("drift", "drifting", "-o", "json")
    assert outcome.code == code, outcome.err
    assert outcome.json["drift"] is (code == 2)
    return [(found["kind"], found["node"], found["service"]) for found in outcome.json["findings"]]


def test_a_cluster_as_it_was_made_has_no_drift_and_looking_leaves_nothing(
    coopr: Coopr, store: Store, cluster: ClusterRecord
) -> None:
    assert kinds(coopr, code=0) == []
    found = coopr("drift", "drifting", "--json").json
    assert (found["nodes"], found["health_checks"]) == (2, 2)
    assert found["not_checked"] == ["health of plain: it has no health action"]
    assert not list((root_of(store, cluster) / "var/cache/coopr").glob("*drift*"))


def test_a_service_that_fails_its_health_check_is_drift_and_its_words_show_no_password(
    coopr: Coopr, store: Store, cluster: ClusterRecord
) -> None:
    flag = root_of(store, cluster) / "var/lib/coopr/well/well"
    flag.unlink()
    outcome = coopr("drift", "drifting")
    assert outcome.code == 2
    assert "unhealthy" in outcome.out
    assert "exit status 3): not well, ***" in outcome.out
    assert kinds(coopr) == [("unhealthy", 1000, "well")]
    flag.touch()
    assert kinds(coopr, code=0) == []


def test_config_that_is_not_what_was_applied_is_drift_and_only_its_path_is_told(
    coopr: Coopr, store: Store, cluster: ClusterRecord
) -> None:
    folder = root_of(store, cluster, 1001) / "var/cache/coopr"
    record = next(file for file in folder.glob("*.json") if '"taskName": "CONFIGURE"' in file.read_text())
    text = record.read_text()
    record.write_text(text.replace("4222", "4333"))
    (found,) = coopr("drift", "drifting", "--json").json["findings"]
    assert (found["kind"], found["node"], found["paths"]) == ("config", 1001, ["port"])
    record.unlink()
    assert kinds(coopr) == [("no-record", 1001, "well")]
    record.write_text(text)
    shutil.chown(record, *(folder.stat().st_uid, folder.stat().st_gid))
    assert kinds(coopr, code=0) == []


def test_a_busy_cluster_cannot_be_looked_at(coopr: Coopr, store: Store, cluster: ClusterRecord) -> None:
    from coopr_core.maintenance.drift import find_drift
    from coopr_core.model.operations import Operation
    from coopr_core.model.states import JobState

    restart = plan("RESTART_SERVICES", store.layout(cluster.id))
    job = store.start_job(cluster.id, Operation.RESTART_SERVICES, restart)
    with pytest.raises(Busy):
        find_drift(store, store.cluster(cluster.id), VAULT)
    assert coopr("drift", "drifting").code == 9
    store.finish_job(job.id, JobState.SUCCEEDED)


def test_a_machine_that_is_gone_is_drift_and_an_extra_one_is_a_leftover(
    coopr: Coopr, store: Store, cluster: ClusterRecord
) -> None:
    cloud = cluster_clouds(cluster, VAULT).main
    scope = Scope(cluster_id=cluster.id, cluster_name="drifting", authorized_key=our_key())
    stray = cloud.create(MachineRequest("lost-1", scope, 1000, "stray", Placement(image="python")))
    assert kinds(coopr) == [("extra-machine", None, "")]

    named = coopr("gc", "--dry-run", "--json")
    assert named.code == 0
    (leftover,) = named.json["leftovers"]
    assert (leftover["kind"], leftover["deleted"]) == ("machine", False)
    assert stray.provider_id in leftover["name"]
    refused = coopr("gc")
    assert (refused.code, stray.provider_id in refused.out) == (10, True)
    assert len(cloud.find(scope).machines) == 3
    assert coopr("gc", "-y").code == 0
    assert len(cloud.find(scope).machines) == 2
    assert kinds(coopr, code=0) == []


def test_what_is_left_of_deleted_and_unknown_clusters_is_collected_and_kept_logs_are_not(
    prefect_server: object, coopr: Coopr, store: Store, tmp_path: Path, cluster: ClusterRecord
) -> None:
    from coopr_core.work.passwords import clusters_with_keys, open_secrets
    from flows import collect_garbage, create_cluster, delete_cluster

    catalog = write_catalog(tmp_path, {"plain": service(start="true")})
    ids = {}
    for name in ("gone", "kept"):
        ids[name] = create_cluster(name=name, template="tiny", size=1, catalog=[catalog])["cluster_id"]
        delete_cluster(name, keep_logs=name == "kept")
    logs_of(ids["gone"]).mkdir()
    known_hosts_of(ids["gone"]).touch()
    open_secrets(store, VAULT, ids["gone"], lambda text: None)
    cloud = cluster_clouds(cluster, VAULT).main
    scope = Scope(cluster_id="00009999", cluster_name="older", authorized_key=our_key())
    cloud.create(MachineRequest("lost-2", scope, 1000, "older", Placement(image="python")))
    found = collect_garbage()
    assert {(item["kind"], item["why"]) for item in found["found"]} == {
        ("machine", "cluster 00009999 is unknown"),
        ("logs", "cluster gone is deleted"),
        ("secret", "cluster gone is deleted"),
        ("known-hosts", "cluster gone is deleted"),
    }
    assert found["deleted"] == []
    mine = collect_garbage(tenant=store.tenant)
    assert {item["kind"] for item in mine["found"]} == {"logs", "secret", "known-hosts"}
    assert collect_garbage(delete=True, tenant="somebody")["deleted"] == []
    assert len(collect_garbage(delete=True)["deleted"]) == 4
    assert cloud.find(scope).machines == ()
    assert ids["gone"] not in clusters_with_keys(store, VAULT)
    assert cluster.id in clusters_with_keys(store, VAULT)
    assert not logs_of(ids["gone"]).exists()
    assert logs_of(ids["kept"]).exists()
    nothing = coopr("gc")
    assert (nothing.code, "Nothing is left over" in nothing.err) == (0, True)


def test_the_flow_tells_drift_and_looks_at_every_cluster(
    prefect_server: object, store: Store, cluster: ClusterRecord
) -> None:
    from flows import check_drift

    flag = root_of(store, cluster) / "var/lib/coopr/well/well"
    flag.unlink()
    found = check_drift()
    flag.touch()
    assert found["drift"] is True
    assert [look["cluster"] for look in found["clusters"]] == ["drifting"]
    assert check_drift(cluster="drifting")["drift"] is False


def test_lost_passwords_and_a_lost_machine_are_drift(coopr: Coopr, store: Store, cluster: ClusterRecord) -> None:
    from coopr_core.work.passwords import forget_secrets

    forget_secrets(store, VAULT, cluster.id)
    assert kinds(coopr) == [("no-secrets", None, "")]
    machine = store.node(cluster.id, 1001).machine
    assert machine is not None
    cluster_clouds(cluster, VAULT).main.delete(Machine.from_json(machine))
    assert kinds(coopr) == [("no-secrets", None, ""), ("machine-gone", 1001, "")]
