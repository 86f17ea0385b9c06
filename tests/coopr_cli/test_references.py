"""An id means one cluster for ever, and a command works on the cluster it was asked for, or fails."""

from __future__ import annotations

import unicodedata
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from sqlalchemy import update
from store_samples import new_cluster, stages

from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState, JobState
from coopr_core.store import Store
from coopr_core.store.schema import clusters
from flows.server import ServerInfo

pytestmark = pytest.mark.usefixtures("own_records")

_numbers = count(1)


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    services = {
        "app": service(configure=": $COOPR_CONFIG_WORD", start="true", stop="true"),
        "extra": service(start="true"),
    }
    compatibility = {"services": ["app", "extra"], "hardwaretypes": ["local-small"], "imagetypes": ["local-python"]}
    return write_catalog(tmp_path, services, config={"word": "one"}, compatibility=compatibility)


def active(store: Store, catalog: str) -> ClusterRecord:
    """An active cluster that was never made for real."""
    from coopr_core.operations.create import prepare_create

    values = {"name": f"refer{next(_numbers)}", "template": "tiny", "size": 2, "services": ["app"]}
    made = prepare_create(values, catalog=[catalog], store=store)
    cluster, job = store.begin_cluster(
        made.request,
        made.template,
        made.layout,
        made.plan,
        owner="me",
        facts=ClusterFacts((ProviderFacts.of(made.provider),), catalog=(catalog,)),
    )
    store.finish_job(job.id, JobState.SUCCEEDED)
    return store.cluster_with_id(cluster.id)


def named_like(store: Store, cluster: ClusterRecord, name: str) -> ClusterRecord:
    """The cluster under a name that only earlier versions gave."""
    with store._database.write() as connection:
        connection.execute(update(clusters).where(clusters.c.id == int(cluster.id)).values(name=name))
    return store.cluster_with_id(cluster.id)


def test_of_two_clusters_where_one_is_called_by_the_others_id_each_can_be_deleted(
    coopr: Coopr, store: Store, prefect_server: ServerInfo
) -> None:
    prod, other = new_cluster(store, "prod"), new_cluster(store, "other")
    other = named_like(store, other, prod.id)
    outcome = coopr("delete", "prod", "-y")
    assert outcome.code == 0, outcome.err
    assert f"Cluster prod ({prod.id}) is deleted" in outcome.out
    assert store.cluster_with_id(prod.id).state is ClusterState.TERMINATED
    assert store.cluster_with_id(other.id).state is not ClusterState.TERMINATED
    refused = coopr("delete", prod.id, "-y")
    assert refused.code == 8, "it is deleted; the one that is called so is not meant"
    assert other.id in refused.err
    outcome = coopr("delete", other.id, "-y", "-o", "json")
    assert (outcome.code, outcome.json["cluster_id"], outcome.json["state"]) == (0, other.id, "TERMINATED")
    assert store.clusters() == []


def test_a_cluster_named_twice_is_deleted_once(coopr: Coopr, store: Store, prefect_server: ServerInfo) -> None:
    cluster = new_cluster(store, "twice")
    outcome = coopr("delete", "twice", cluster.id, "-y", "-o", "json")
    assert (outcome.code, outcome.json["cluster_id"]) == (0, cluster.id)


def test_a_hint_never_tells_to_type_a_name_that_means_another_cluster(coopr: Coopr, store: Store, catalog: str) -> None:
    meant, other = active(store, catalog), active(store, catalog)
    store.set_protected(named_like(store, other, meant.id).id, True)
    for command in ("delete", "rebuild"):
        outcome = coopr(command, other.id, "-y")
        assert outcome.code in (3, 10)
        assert f"coopr unprotect {meant.id}" not in outcome.err
    assert f"coopr unprotect {other.id}" in coopr("delete", other.id, "-y").err
    store.start_job(other.id, "STOP_SERVICES", stages())
    busy = coopr("restart", other.id)
    assert (busy.code, meant.id in busy.err.partition("hint:")[2]) == (9, False), busy.err
    store.set_protected(other.id, False)


@pytest.mark.parametrize("name", ["00000001", "1", "٣٤"])
@pytest.mark.parametrize("command", ["create", "plan"])
def test_a_name_that_looks_like_an_id_is_refused(coopr: Coopr, store: Store, command: str, name: str) -> None:
    before = store.clusters(terminated=True)
    outcome = coopr(command, name, "--template", "nats", *(["-y"] if command == "create" else []))
    assert outcome.code == 3
    assert "digits alone" in outcome.err
    assert store.clusters(terminated=True) == before


FLOWS: dict[str, tuple[str, ...]] = {
    "start_services": ("start", "{}"),
    "stop_services": ("stop", "{}"),
    "restart_services": ("restart", "{}", "app"),
    "configure_cluster": ("configure", "{}", "--set", "word=other", "-y"),
    "add_services": ("add-services", "{}", "extra", "-y"),
    "sync_cluster": ("sync", "{}", "-y"),
    "scale_cluster": ("scale", "{}", "--nodes", "3", "-y"),
    "replace_nodes": ("replace", "{}", "1000", "-y"),
    "delete_cluster": ("delete", "{}", "-y"),
    "rebuild_cluster": ("rebuild", "{}", "-y"),
    "retry_cluster": ("retry", "{}"),
    "resume_cluster": ("resume", "{}"),
}
"""Every flow that a command runs on a cluster there is, and the command."""


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    import coopr_cli.job

    monkeypatch.setattr(coopr_cli.job, "use_server", lambda **_: None)
    monkeypatch.setattr(coopr_cli.job, "put_talk_aside", lambda: None)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_command_hands_its_flow_an_id_and_fails_when_the_answer_is_about_another_cluster(
    coopr: Coopr, store: Store, catalog: str, no_server: None, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    import flows

    cluster = active(store, catalog)
    if flow in ("retry_cluster", "resume_cluster"):
        job = store.start_job(cluster.id, "STOP_SERVICES", stages())
        if flow == "retry_cluster":
            store.finish_job(job.id, JobState.FAILED)
        else:
            store.pause_job(job.id)
            store.leave_job(job.id)
    elif flow == "sync_cluster":
        write_catalog(Path(catalog), {}, config={"word": "two"})
    handed: list[Any] = []

    def of_another(reference: str, *_: object, **__: object) -> dict[str, Any]:
        handed.append(reference)
        return {"cluster_id": "00009999", "name": "another", "state": "TERMINATED", "job": "", "nodes": [], "links": []}

    monkeypatch.setattr(flows, flow, of_another)
    outcome = coopr(*(word.format(cluster.name) for word in FLOWS[flow]))
    assert handed == [cluster.id], outcome.err
    assert outcome.code == 1
    assert "00009999" in outcome.err
    assert "is deleted" not in outcome.out


def test_a_name_may_be_typed_in_any_unicode_form(
    coopr: Coopr, catalog: str, no_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows

    summary = {"cluster_id": "00009999", "name": "한국", "state": "ACTIVE", "job": "", "nodes": [], "links": []}
    monkeypatch.setattr(flows, "create_cluster", lambda **_: {**summary, "flow_run_url": ""})
    monkeypatch.setattr("coopr_cli.create.tell_given_up", lambda *_: None)
    typed = unicodedata.normalize("NFD", "한국")
    outcome = coopr("create", typed, "--template", "tiny", "--catalog", catalog, "-y")
    assert (outcome.code, "is ACTIVE" in outcome.out) == (0, True), outcome.err
