from __future__ import annotations

import getpass
import json
import socket
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from store_samples import engine_url, new_cluster, stages

from coopr_core.errors import InvalidInput
from coopr_core.model import origin
from coopr_core.model.states import AttemptState, JobState, NodeState
from coopr_core.store import Store
from coopr_core.store.schema import machines

LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def test_every_job_and_attempt_is_told_with_times_who_and_from_where(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "_via", origin.COMMAND)
    cluster = new_cluster(store, size=1)
    job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(1, ("CREATE",)))
    task = store.tasks(job.id)[0]
    store.finish_attempt(store.start_attempt(task.id), AttemptState.FAILED, exit_status=3, message="no", retry=True)
    store.intend_machine(cluster.id, 1000)
    store.finish_job(job.id, JobState.INTERRUPTED, "stopped")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a run of a deployment")
    store.resume_job(job.id)
    store.finish_attempt(store.start_attempt(task.id, task_run_id="r-2"), AttemptState.SUCCEEDED, exit_status=0)
    store.finish_job(job.id, JobState.SUCCEEDED)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    store.set_protected(cluster.id, True)
    store.extend_lease(cluster.id, 0)

    told = store.history(cluster.id)
    assert json.loads(json.dumps(told)) == told
    me = f"{getpass.getuser()}@{socket.gethostname()}"
    assert {(event["version"], event["cluster"], event["name"], event["by"]) for event in told} == {
        (1, cluster.id, "demo", me)
    }
    assert [(event["event"], event["via"]) for event in told] == [
        ("cluster.recorded", "command"),
        ("job.started", "command"),
        ("task.attempt", "command"),
        ("job.ended", "command"),
        ("job.resumed", "deployment"),
        ("task.attempt", "deployment"),
        ("job.ended", "deployment"),
        ("protection.changed", "command"),
    ]
    assert {event["job"] for event in told[1:7]} == {job.id}
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    first, second = told[2], told[5]
    assert (first["task"], first["attempt"], first["action"], first["node"]) == (task.id, 1, "CREATE", 1000)
    assert (first["state"], first["exit_status"], first["message"]) == ("FAILED", 3, "no")
    assert (second["attempt"], second["state"], second["task_run"]) == (2, "SUCCEEDED", "r-2")
    assert second["ended"] >= second["time"]
    assert (told[3]["state"], told[3]["message"], told[6]["cluster_state"]) == ("INTERRUPTED", "stopped", "ACTIVE")
    assert told[3]["operation"] == "CLUSTER_CREATE"


def test_a_machine_counts_from_its_answer_to_its_deletion_with_its_price(store: Store, url: str) -> None:
    cluster = new_cluster(store, size=2, tenant="lab")
    for number in (1000, 1001):
        store.intend_machine(cluster.id, number)
    assert store.usage(LONG_AGO, FAR_AHEAD) == []
    for number in (1000, 1001):
        store.record_machine(cluster.id, number, {"provider_id": f"i-{number}"}, NodeState.CREATED)
        store.record_machine(cluster.id, number, {"provider_id": f"i-{number}"}, NodeState.CONFIRMED)
    store.record_machine(cluster.id, 1000, None, NodeState.DELETED)
    store.record_machine(cluster.id, 1000, {"provider_id": "i-again"}, NodeState.CREATED)
    store.finish_job(store.start_job(cluster.id, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)
    store.delete_cluster_record(cluster.id)

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    engine = sa.create_engine(engine_url(url))
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM machines WHERE deleted IS NULL")).scalar() == 0
        times = {"created": noon, "deleted": noon + timedelta(hours=2)}
        connection.execute(sa.update(machines).values(times))
    engine.dispose()
    whole = store.usage(LONG_AGO, FAR_AHEAD)[0]
    assert (whole.tenant, whole.clusters, whole.nodes, whole.node_hours, whole.cost) == ("lab", 1, 3, 6.0, 1.5)
    half = store.usage(noon + timedelta(hours=1), FAR_AHEAD, by="cluster")[0]
    assert (half.owner, half.cluster, half.cluster_id, half.node_hours) == ("ada", "demo", cluster.id, 3.0)
    assert store.usage(noon + timedelta(hours=2), FAR_AHEAD) == []
    assert store.usage(LONG_AGO, noon) == []


def test_a_machine_that_is_still_there_counts_until_now(store: Store) -> None:
    for name, tenant in (("a", "zoo"), ("b", "lab")):
        cluster = new_cluster(store, name, size=1, tenant=tenant)
        store.intend_machine(cluster.id, 1000)
        store.record_machine(cluster.id, 1000, {"provider_id": "i"}, NodeState.CREATED)
    used = store.usage(LONG_AGO, FAR_AHEAD, by="owner")
    assert [(record.tenant, record.owner, record.nodes) for record in used] == [("lab", "ada", 1), ("zoo", "ada", 1)]
    assert all(0 < record.node_hours < 0.1 for record in used)
    with pytest.raises(InvalidInput, match="No time lies"):
        store.usage(FAR_AHEAD, LONG_AGO)


def test_a_store_works_on_the_settings_tenant_unless_told_otherwise(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_cluster(store, "ours")
    monkeypatch.setenv("COOPR_TENANT", "lab")
    with Store.open(url) as lab:
        theirs = new_cluster(lab, "ours")
        assert theirs.tenant == "lab"
        assert [cluster.id for cluster in lab.clusters()] == [theirs.id]
        assert lab.cluster("ours").id == theirs.id
        assert lab.cluster("ours", tenant="default").id != theirs.id
        assert len(lab.clusters(tenant=None)) == 2
