"""What the world is told of operations: real events on a real Prefect server, real POSTs to a real HTTP server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from http_receiver import Receiver, receiving
from prefect_server import api

from coopr_core.errors import TasksFailed
from coopr_core.store import Store
from flows.server import ServerInfo


@pytest.fixture(autouse=True)
def fast_calls(fast_retries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from blocks import http_callback

    monkeypatch.setattr(http_callback, "FIRST_PAUSE_SECONDS", 0.05)


@pytest.fixture
def receiver(prefect_server: ServerInfo) -> Iterator[Receiver]:
    """A server that a saved callback points to."""
    from blocks import HttpCallback

    with receiving() as started:
        HttpCallback(url=started.url, secret="quite-unguessable", timeout=30).save("test", overwrite=True)
        yield started
        HttpCallback.delete("test")


def events(server: ServerInfo, cluster_id: str, count: int) -> list[dict[str, Any]]:
    """The events of a cluster of this store, oldest first, once that many have come."""
    with Store.open() as store:
        own = store.installation
    resource = {"id": [f"coopr.cluster.{cluster_id}"]}
    deadline = time.monotonic() + 60
    while True:
        told = api(server, "/events/filter", {"filter": {"resource": resource, "order": "ASC"}})["events"]
        found = [event for event in told if event["resource"]["coopr.installation"] == own]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def logged(server: ServerInfo, flow_run: str, wanted: str) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        body = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "limit": 200}
        if any(wanted in log["message"] for log in api(server, "/logs/filter", body)):
            return True
        time.sleep(0.3)
    return False


def test_start_and_success_of_every_operation_are_told_with_cluster_job_and_nodes(
    prefect_server: ServerInfo, receiver: Receiver, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    catalog = write_catalog(tmp_path / "catalog", {"one": service(start="true")})
    created = create_cluster(name="told", template="tiny", size=2, catalog=[catalog], owner="ada")
    deleted = delete_cluster("told")

    told = [message.json for message in receiver.messages]
    assert [(each["event"], each["job"]["operation"], each["job"]["state"]) for each in told] == [
        ("coopr.cluster.started", "CLUSTER_CREATE", "RUNNING"),
        ("coopr.cluster.succeeded", "CLUSTER_CREATE", "SUCCEEDED"),
        ("coopr.cluster.started", "CLUSTER_DELETE", "RUNNING"),
        ("coopr.cluster.succeeded", "CLUSTER_DELETE", "SUCCEEDED"),
    ]
    assert {message.headers["X-Coopr-Event"] for message in receiver.messages} == {each["event"] for each in told}
    assert all(message.headers["X-Coopr-Signature"].startswith("sha256=") for message in receiver.messages)
    success = told[1]
    assert (success["version"], success["cluster"]["name"], success["cluster"]["owner"]) == (1, "told", "ada")
    assert (success["cluster"]["state"], success["job"]["id"]) == ("ACTIVE", created["job"])
    assert [node["addresses"]["access_v4"] for node in success["nodes"]] == [n["address"] for n in created["nodes"]]
    assert success["job"]["flow_run_id"] in created["flow_run_url"]
    assert (told[3]["cluster"]["state"], told[3]["job"]["id"]) == ("TERMINATED", deleted["job"])

    seen = events(prefect_server, created["cluster_id"], 4)
    assert [event["event"] for event in seen] == [each["event"] for each in told]
    assert [event["payload"]["job"]["id"] for event in seen] == [each["job"]["id"] for each in told]
    assert seen[1]["resource"]["coopr.operation"] == "CLUSTER_CREATE"
    assert "flow-run" in {related["prefect.resource.role"] for related in seen[1]["related"]}


def test_a_failure_is_told_with_its_reason_and_a_callback_that_fails_changes_nothing(
    prefect_server: ServerInfo, receiver: Receiver, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster

    catalog = write_catalog(tmp_path / "catalog", {"bad": service(start="echo no such luck >&2; exit 1")})
    receiver.answers = [500, 500, 500, 403]
    with pytest.raises(TasksFailed, match="no such luck"):
        create_cluster(name="unlucky", template="tiny", catalog=[catalog])
    with Store.open() as store:
        cluster = store.cluster("unlucky")
        job = store.jobs(cluster.id)[0]
    assert [message.json["event"].rpartition(".")[2] for message in receiver.messages] == [*["started"] * 3, "failed"]
    assert "no such luck" in receiver.messages[-1].json["job"]["message"]
    assert logged(prefect_server, job.flow_run_id, "coopr.cluster.started could not be delivered")
    assert logged(prefect_server, job.flow_run_id, "in 1 attempt: it answered 403")
    assert [event["event"] for event in events(prefect_server, cluster.id, 2)] == [
        "coopr.cluster.started",
        "coopr.cluster.failed",
    ]
    receiver.answers = [500] * 12
    assert delete_cluster("unlucky")["state"] == "TERMINATED"


def test_a_callback_that_hangs_is_given_up(prefect_server: ServerInfo, receiver: Receiver) -> None:
    from store_samples import new_cluster

    from flows.announcing import STARTED, Announcer

    receiver.answers = [-1] * 6
    with Store.open() as store:
        cluster = new_cluster(store, "hanging")
        begun = time.monotonic()
        with Announcer(patience=0.5) as tell:
            tell(STARTED, store, cluster)
        assert time.monotonic() - begun < 10, "its attempts take 15 s"


def test_where_the_block_type_was_never_registered_there_are_no_callbacks(
    prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks import HttpCallback
    from flows.announcing import saved_callbacks

    monkeypatch.setattr(HttpCallback, "_block_type_slug", "never-registered")
    assert saved_callbacks() == []


def test_a_callback_that_asked_for_drift_is_told_what_differs(prefect_server: ServerInfo, receiver: Receiver) -> None:
    from store_samples import new_cluster

    from blocks import HttpCallback
    from flows.announcing import Announcer
    from flows.maintenance.drift import DRIFT

    HttpCallback(url=receiver.url, events=["drift"]).save("test", overwrite=True)
    with Store.open() as store:
        cluster = new_cluster(store, "drifted")
        with Announcer() as tell:
            tell(DRIFT, store, cluster, drift={"findings": [{"kind": "machine-gone"}]})
    (message,) = receiver.messages
    assert message.json["drift"]["findings"] == [{"kind": "machine-gone"}]
    assert events(prefect_server, cluster.id, 1)[0]["payload"]["drift"] == message.json["drift"]
