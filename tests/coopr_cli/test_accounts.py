"""Leases, quotas, usage, history and lists, as the command shows and changes them; no Prefect server is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import Coopr
from store_samples import new_cluster, stages

from coopr_core.model.states import JobState, NodeState
from coopr_core.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of this test's own, which the command uses too."""
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COOPR_OWNER", "ada")
    with Store.open() as opened:
        yield opened


def test_a_list_is_of_the_tenant_and_may_be_of_mine_of_all_and_of_deleted_ones(coopr: Coopr, store: Store) -> None:
    new_cluster(store, "mine")
    new_cluster(store, "bobs", owner="bob")
    new_cluster(store, "labs", tenant="lab")
    gone = new_cluster(store, "gone")
    store.finish_job(store.start_job(gone.id, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)

    def listed(*words: str) -> list[str]:
        return [each["name"] for each in coopr(*words, "--json").json]

    assert listed("list") == ["mine", "bobs"]
    assert listed("list", "--mine") == ["mine"]
    assert listed("list", "--all") == ["mine", "bobs", "labs"]
    assert listed("list", "--deleted") == ["mine", "bobs", "gone"]
    assert listed("--tenant", "lab", "list") == ["labs"]
    assert listed("list") == ["mine", "bobs"], "the flag is for one command"
    assert "TENANT" in coopr("list", "--all").out
    assert coopr("--tenant", "lab", "show", "mine").code == 8


def test_a_lease_is_extended_and_shown(coopr: Coopr, store: Store) -> None:
    cluster = new_cluster(store, expires_at=datetime.now(UTC) + timedelta(minutes=85))
    outcome = coopr("extend", "demo", "30m", "--json")
    assert outcome.json["expires_at"] == str(store.cluster("demo").expires_at)
    assert store.cluster("demo").expires_at == (cluster.expires_at or datetime.min) + timedelta(minutes=30)
    assert "expires in 1h 55m" in coopr("extend", "demo", "59s").out
    assert "1h 55m" in coopr("list").out
    assert "It expires in 1h 55m" in coopr("show", "demo").out
    assert coopr("extend", "demo").code == 3, "its template has no step"
    assert "does not expire" in coopr("extend", "demo", "0").out
    assert coopr("extend", "nobody").code == 8
    assert coopr("extend", "demo", "soon").code == 3


def test_a_protected_cluster_is_not_deleted(coopr: Coopr, store: Store) -> None:
    new_cluster(store)
    assert "is protected against deletion" in coopr("protect", "demo").out
    assert "protected" in coopr("list").out
    refused = coopr("delete", "demo", "-y")
    assert refused.code == 10
    assert "coopr unprotect demo" in refused.err
    assert coopr("unprotect", "demo", "--json").json["protected"] is False
    assert store.cluster("demo").protected is False


def test_reaping_asks_first_and_can_only_look(coopr: Coopr, store: Store) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    new_cluster(store, "over", expires_at=past)
    new_cluster(store, "theirs", expires_at=past, tenant="lab")
    store.set_protected(new_cluster(store, "guarded", expires_at=past).id, True)
    assert [each["name"] for each in coopr("reap-expired", "--dry-run", "--json").json] == ["over"]
    looked = coopr("reap-expired", "--dry-run", "--all")
    assert "expired 1h ago" in looked.out
    assert "theirs" in looked.out
    unasked = coopr("reap-expired")
    assert unasked.code == 10
    assert "Delete 1 expired clusters: over?" in unasked.err


def test_a_quota_is_set_shown_lifted_and_kept_to(coopr: Coopr, store: Store) -> None:
    new_cluster(store, size=3)
    shown = coopr("quota", "default", "--nodes", "5", "--price", "2.5", "--json").json
    assert shown == {
        "tenant": "default",
        "clusters": {"limit": None, "in_use": 1},
        "nodes": {"limit": 5, "in_use": 3},
        "price": {"limit": 2.5, "in_use": 0.75},
    }
    assert "3 of 5" in coopr("quota").out
    over = coopr("create", "web", "--template", "webapp", "--nodes", "4", "-y", "--json")
    assert over.code == 6
    assert over.json["excess"] == [{"what": "nodes", "limit": 5, "has": 3, "wants": 4}]
    assert coopr("quota", "default", "--nodes", "unlimited", "--json").json["nodes"]["limit"] is None
    assert coopr("quota", "default", "--json").json["price"]["limit"] == 2.5
    assert coopr("quota", "--nodes", "5").code == 3
    assert coopr("quota", "default", "--nodes", "many").code == 3
    assert coopr("quota", "default", "--nodes", "-1").code == 3


def test_usage_is_counted_for_tenant_owner_or_cluster_between_two_times(coopr: Coopr, store: Store) -> None:
    for name, tenant in (("a", "default"), ("b", "lab")):
        cluster = new_cluster(store, name, size=1, tenant=tenant)
        store.intend_machine(cluster.id, 1000)
        store.record_machine(cluster.id, 1000, {"provider_id": "i"}, NodeState.CREATED)
    used = coopr("usage", "--from", "2020-01-01", "--json").json
    assert [(each["tenant"], each["nodes"]) for each in used["usage"]] == [("default", 1), ("lab", 1)]
    assert used["from"] == "2020-01-01 00:00:00+00:00"
    by_cluster = coopr("usage", "--by", "cluster", "--from", "2020-01-01T00:00+02:00", "--json").json
    assert [each["cluster"] for each in by_cluster["usage"]] == ["a", "b"]
    nothing = coopr("usage", "--from", "2020-01-01", "--to", "2020-02-01")
    assert (nothing.code, nothing.out) == (0, "")
    assert coopr("usage", "--from", "2020-02-01", "--to", "2020-01-01").code == 3
    assert coopr("usage", "--to", "yesterday").code == 3


def test_events_are_json_lines_also_of_a_deleted_cluster(coopr: Coopr, store: Store) -> None:
    cluster = new_cluster(store)
    store.finish_job(store.start_job(cluster.id, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)
    lines = [json.loads(line) for line in coopr("events", "demo").out.splitlines()]
    assert [line["event"] for line in lines] == ["cluster.recorded", "job.started", "job.ended"]
    assert {line["version"] for line in lines} == {1}
    assert coopr("events", "demo", "--json").json == lines
    assert f"{cluster.id}-001 CLUSTER_DELETE" in coopr("events", "demo", "-o", "table").out
