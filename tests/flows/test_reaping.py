"""The flow that deletes what has expired, on real clusters: each on its own, warned of before, protected ones never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog
from http_receiver import receiving
from prefect_server import api
from store_samples import new_cluster, stages
from watching import wait_for

from coopr_core.errors import TasksFailed
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState, JobState
from coopr_core.store import Store, claims
from flows.server import ServerInfo

pytestmark = pytest.mark.real


def state(store: Store, cluster: ClusterRecord) -> ClusterState:
    return store.cluster(cluster.id, tenant=cluster.tenant, terminated=True).state


def names(entries: list[dict[str, str]]) -> set[str]:
    return {entry["name"] for entry in entries}


def test_every_expired_cluster_is_deleted_on_its_own_and_protected_or_busy_ones_are_not(
    prefect_server: ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster, reap_expired

    monkeypatch.setattr(claims, "STALE_SECONDS", 600.0)  # nobody says here that the job of ``busy`` is worked on

    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="true")})
    create_cluster(name="real", template="tiny", catalog=[catalog], tenant="reaped", lease="1d")
    past = datetime.now(UTC) - timedelta(hours=1)
    with Store.open() as store:
        real = store.cluster("real", tenant="reaped")
        assert real.expires_at is not None
        store.set_expiry(real.id, past)
        options = {"tenant": "reaped", "expires_at": past - timedelta(hours=1)}
        credentials = "coopr-local-provider-settings/nowhere"
        nowhere = ClusterFacts((ProviderFacts("local", "local", credentials=credentials),))
        broken = new_cluster(store, "broken", **options, facts=nowhere)
        guarded = new_cluster(store, "guarded", **options)
        store.set_protected(guarded.id, True)
        busy = new_cluster(store, "busy", **options)
        job = store.start_job(busy.id, "CLUSTER_CREATE", stages())
        inconsistent = new_cluster(store, "inconsistent", **options)
        store.finish_job(store.start_job(inconsistent.id, "CLUSTER_CREATE", stages()).id, JobState.SUCCEEDED)
        store.finish_job(store.start_job(inconsistent.id, "CLUSTER_CONFIGURE", stages()).id, JobState.FAILED)
        assert state(store, inconsistent) is ClusterState.INCONSISTENT
        other = new_cluster(store, "other", tenant="another", expires_at=past)

        with pytest.raises(TasksFailed, match=r"(?s)1 of 5 expired clusters could not be deleted.*broken .*nowhere"):
            reap_expired(tenant="reaped", warn_before=0)
        states = {each.name: each.state for each in store.clusters(tenant="reaped", terminated=True)}
        assert states == {
            "real": ClusterState.TERMINATED,
            "inconsistent": ClusterState.TERMINATED,
            "broken": ClusterState.INCOMPLETE,
            "guarded": ClusterState.INCOMPLETE,
            "busy": ClusterState.PENDING,
        }
        assert state(store, other) is ClusterState.INCOMPLETE
        last = store.jobs(real.id)[-1]
        assert (last.operation, last.state) == ("CLUSTER_DELETE", JobState.SUCCEEDED)

        store.set_expiry(broken.id, None)
        store.finish_job(job.id, JobState.FAILED)
        store.set_expiry(busy.id, None)
        found = reap_expired(tenant="reaped", warn_before=0)
        assert (names(found["skipped"]), found["deleted"], found["failed"]) == ({"guarded"}, [], [])
        assert names(reap_expired(warn_before=0)["deleted"]) >= {"other"}


def test_the_end_of_a_lease_is_told_once_by_log_event_and_callback(prefect_server: ServerInfo) -> None:
    from blocks import HttpCallback
    from flows import reap_expired

    with receiving() as receiver, Store.open() as store:
        HttpCallback(url=receiver.url, tenants=["warned"]).save("warned", overwrite=True)
        soon = datetime.now(UTC) + timedelta(hours=3)
        cluster = new_cluster(store, "ending", tenant="warned", expires_at=soon)
        assert reap_expired(tenant="warned", warn_before="2h")["warned"] == []
        assert names(reap_expired(tenant="warned", warn_before="4h")["warned"]) == {"ending"}
        assert reap_expired(tenant="warned")["warned"] == []
        HttpCallback.delete("warned")
        (message,) = receiver.messages
        assert (message.json["event"], message.json["job"]) == ("coopr.cluster.lease-expiring", None)
        assert message.json["cluster"]["expires_at"] == soon.isoformat()
        assert [e["event"] for e in store.history(cluster.id)][-1] == "lease.warned"
        assert state(store, cluster) is ClusterState.INCOMPLETE

    def logged() -> bool:
        logs = api(prefect_server, "/logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"})
        return any("ending" in log["message"] and "will be deleted" in log["message"] for log in logs)

    wait_for(logged, "Prefect has the line")


def test_a_lease_is_extended_and_a_cluster_protected_by_flows_too(prefect_server: ServerInfo) -> None:
    from flows import extend_lease, protect_cluster

    with Store.open() as store:
        soon = datetime.now(UTC) + timedelta(hours=3)
        cluster = new_cluster(store, "longer", tenant="extended", expires_at=soon)
        summary = extend_lease("longer", "2h", tenant="extended")
        assert summary["expires_at"] == (soon + timedelta(hours=2)).isoformat()
        assert protect_cluster(cluster.id, tenant="extended")["name"] == "longer"
        assert store.cluster(cluster.id, tenant="extended").protected
        protect_cluster(cluster.id, protected=False, tenant="extended")
        assert not store.cluster(cluster.id, tenant="extended").protected
