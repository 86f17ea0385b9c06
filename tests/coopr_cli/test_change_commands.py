"""The commands that change a running cluster refuse what cannot be, show what they would do, and do nothing unasked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from store_samples import record_cluster

from coopr_core.model.facts import ClusterFacts
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import JobState
from coopr_core.operations.create import prepare_create
from coopr_core.operations.rebuild import prepare_rebuild
from coopr_core.store import Store

WEB = {**service(configure="true", start="true", stop="true"), "config": ["web"]}


@pytest.fixture
def name(store: Store, tmp_path: Path) -> Iterator[str]:
    """The name of an active cluster of two nodes that was never made for real."""
    catalog = write_catalog(
        tmp_path, {"web": WEB, "plain": service(start="true")}, config={"web": {"port": 80, "password": "hush-1"}}
    )
    values = {"name": "changing", "template": "tiny", "size": 2, "services": ("web", "plain")}
    made = prepare_create(values, catalog=[catalog], store=store)
    cluster = record_cluster(
        store, made.request, made.template, made.layout, owner="me", facts=ClusterFacts(catalog=(catalog,))
    )
    job = store.start_job(cluster.id, "CLUSTER_CREATE", made.plan)
    store.finish_job(job.id, JobState.SUCCEEDED)
    yield "changing"
    if store.cluster(cluster.id, terminated=True).state != "TERMINATED":
        job = store.start_job(cluster.id, "CLUSTER_DELETE", made.plan)
        store.finish_job(job.id, JobState.SUCCEEDED)


def test_configure_shows_what_differs_hides_secrets_and_does_nothing_unasked(
    coopr: Coopr, store: Store, name: str
) -> None:
    words = ("configure", name, "--set", "web.port=81", "--set", "web.password=hush-2")
    outcome = coopr(*words)
    assert outcome.code == 10
    assert "add -y to go ahead" in outcome.err
    host = store.nodes(store.cluster(name).id)[0].host_name
    assert f"{host}, " in outcome.out
    assert ": plain, web" in outcome.out, "plain reads the whole config, since it does not say"
    assert {"-  port: 80", "+  port: 81"} <= {line.strip() for line in outcome.out.splitlines()}
    assert "hush" not in outcome.out + outcome.err
    assert "(changed)" in outcome.out
    assert len(store.jobs(store.cluster(name).id)) == 1
    assert store.layout(store.cluster(name).id).config["web"]["port"] == 80


def test_keys_nobody_reads_are_refused_and_those_on_record_leave_a_cluster_operable(
    coopr: Coopr, store: Store, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path, {"web": WEB}, config={"web": {"port": 80}})
    request = ClusterRequest(name="older", template="tiny", config={"wbe": {"prot": 1}})
    made = prepare_create(request, catalog=[catalog], store=store, accepted=True)
    cluster = record_cluster(
        store, made.request, made.template, made.layout, owner="me", facts=ClusterFacts(catalog=(catalog,))
    )
    job = store.start_job(cluster.id, "CLUSTER_CREATE", made.plan)
    store.finish_job(job.id, JobState.SUCCEEDED)
    try:
        outcome = coopr("configure", "older", "--set", "wed.size=1", "--set", "web.port=81")
        assert outcome.code == 3
        assert "config.wed.size: no service of template tiny reads it" in outcome.err
        assert "config: any" in outcome.err
        outcome = coopr("configure", "older", "--set", "wbe.prot=2")
        assert outcome.code == 10, "all is well but that nobody is there to say yes"
        assert coopr("sync", "older").code == 0
        assert prepare_rebuild(store, cluster.id).new is not None
    finally:
        job = store.start_job(cluster.id, "CLUSTER_DELETE", made.plan)
        store.finish_job(job.id, JobState.SUCCEEDED)


def test_nothing_to_change_is_said_and_no_job_is_made(coopr: Coopr, store: Store, name: str) -> None:
    for words in (("configure", name, "--set", "web.port=80"), ("add-services", name, "web"), ("sync", name)):
        outcome = coopr(*words)
        assert (outcome.code, "nothing to do" in outcome.out) == (0, True), outcome.err
        assert coopr(*words, "--json").json["job"] == ""
    assert len(store.jobs(store.cluster(name).id)) == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("configure", "changing"), 3, "nothing to configure"),
        (("configure", "changing", "--set", "web"), 3, "not KEY=VALUE"),
        (("configure", "changing", "--set", "web.port=%host.service.nobody%", "-y"), 3, "config.web.port"),
        (("restart", "changing", "nobody"), 3, "no service nobody"),
        (("restart", "changing", "nobody", "--rolling"), 3, "no service nobody"),
        (("restart", "changing", "--rolling", "--batch", "0"), 3, "--batch"),
        (("stop", "no-such-cluster"), 8, "no-such-cluster"),
        (("add-services", "changing", "nobody"), 8, "no service nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(
    coopr: Coopr, name: str, words: tuple[str, ...], code: int, says: str
) -> None:
    outcome = coopr(*words)
    assert (outcome.code, says in outcome.err) == (code, True), outcome.err


@pytest.mark.parametrize("command", ["start", "stop", "restart", "configure", "add-services", "sync"])
def test_a_cluster_with_a_running_job_is_busy(coopr: Coopr, store: Store, name: str, command: str) -> None:
    from coopr_core.operations.stop import prepare_stop

    prepared = prepare_stop(store, name)
    job = store.start_job(prepared.cluster.id, prepared.operation, prepared.plan)
    more = {"configure": ("--all", "-y"), "add-services": ("web", "-y"), "sync": ("-y",)}
    outcome = coopr(command, name, *more.get(command, ()))
    store.finish_job(job.id, JobState.SUCCEEDED)
    assert (outcome.code, "busy" in outcome.err) == (9, True), outcome.err


def test_sync_refuses_a_template_the_nodes_do_not_obey(coopr: Coopr, name: str, tmp_path: Path) -> None:
    write_catalog(
        tmp_path,
        {"web": WEB, "plain": service(start="true")},
        constraints={"services": {"web": {"quantities": {"max": 1}}}},
    )
    outcome = coopr("sync", name, "-y")
    assert outcome.code == 6
    assert "services.web.quantities.max = 1 (web is on 2 nodes)" in outcome.err
