"""Host names are shown as they will be, and a name that gives none is refused before anything is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from store_samples import begin

from coopr_core.errors import InvalidInput
from coopr_core.operations.create import prepare_create
from coopr_core.store import Store

TINY = "tiny"


@pytest.fixture(autouse=True)
def own_records(tmp_path: Path) -> Iterator[None]:
    """A database of the test's own, in which two clusters were recorded, of which one is forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'coopr.db'}")
        with Store.open() as store:
            begin(store, "demo")
            gone = begin(store, "gone")
            store.finish_job(f"{gone.id}-001", "ROLLED_BACK")
            store.delete_cluster_record(gone.id)
        yield


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return write_catalog(tmp_path / "catalog", {"app": service(start="true")})


def test_a_plan_shows_the_host_names_that_will_be(coopr: Coopr, catalog: str, tmp_path: Path) -> None:
    words = ("plan", "shop", "--template", TINY, "--nodes", "2", "--catalog", catalog)
    planned = coopr(*words, "--json").json
    names = [node["host_name"] for node in planned["nodes"]]
    assert names == ["shop3-1000.local", "shop3-1001.local"]
    assert {task["host_name"] for stage in planned["stages"] for task in stage} == set(names)
    assert "shop3-1000" in coopr(*words).out
    for suffix in (".svg", ".dot", ".mmd"):
        file = tmp_path / f"plan{suffix}"
        assert coopr(*words, "--graph", str(file)).code == 0
        assert "shop3-1001" in file.read_text().replace("&#45;", "-")
    with Store.open() as store:
        prepared = prepare_create({"name": "shop", "template": TINY, "size": 2}, catalog=[catalog], store=store)
        cluster, _ = store.begin_cluster(
            prepared.request, prepared.template, prepared.layout, prepared.plan, owner="me"
        )
        made = [node.host_name for node in store.nodes(cluster.id)]
        assert made == names == [node.host_name for node in prepared.layout.nodes]
        again = prepare_create({"name": "other", "template": TINY, "size": 2}, catalog=[catalog], store=store)
        assert again.layout.nodes[0].host_name == "other4-1000.local"


def test_a_plan_without_a_name_is_called_as_create_would_call_it(coopr: Coopr, catalog: str, tmp_path: Path) -> None:
    words = ("--template", TINY, "--catalog", catalog)
    planned = coopr("plan", *words, "--json").json
    assert (planned["name"], planned["nodes"][0]["host_name"]) == ("tiny-1", "tiny-13-1000.local")
    assert "Create cluster tiny-1 " in coopr("create", *words).err
    file = tmp_path / "request.yaml"
    file.write_text("name: mine\ntemplate: tiny\n")
    assert coopr("plan", "--from", str(file), "--catalog", catalog, "--json").json["name"] == "mine"


def test_a_plan_file_holds_when_another_cluster_was_made_since(coopr: Coopr, catalog: str, tmp_path: Path) -> None:
    from coopr_core.operations.plan_file import check_plan, load_plan

    file = tmp_path / "shop.plan"
    assert coopr("plan", "shop", "--template", TINY, "--catalog", catalog, "-o", str(file)).code == 0
    with Store.open() as store:
        begin(store, "between")
        prepared = check_plan(load_plan(file), store)
        assert prepared.layout.nodes[0].host_name == "shop4-1000.local"


@pytest.mark.parametrize("name", ["_", "a" * 95, "-x", "2024-11", "日" * 60, "xn--a", "ab--é"])
def test_a_name_without_valid_host_names_is_refused_at_once(
    coopr: Coopr, catalog: str, tmp_path: Path, name: str
) -> None:
    words = ("--template", TINY, "--catalog", catalog)
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"name": name, "template": TINY, "catalog": [catalog]}))
    for line in (
        ("create", *words, "-y", "--", name),
        ("plan", *words, "--", name),
        ("plan", *words, "-o", str(tmp_path / "x.plan"), "--", name),
        ("create", "--from", str(file), "-y"),
    ):
        outcome = coopr(*line)
        assert (outcome.code, name in outcome.err) == (3, True), outcome.err
        assert re.search("host names|no cluster name", outcome.err)
    with Store.open() as store:
        with pytest.raises(InvalidInput):
            prepare_create({"name": name, "template": TINY}, catalog=[catalog], store=store)
        assert [cluster.name for cluster in store.clusters()] == ["demo"]


def test_letters_beyond_ascii_are_planned_in_their_idna_form(coopr: Coopr, catalog: str) -> None:
    planned = coopr("plan", "日本", "--template", TINY, "--catalog", catalog, "--json").json
    assert planned["nodes"][0]["host_name"] == f"{'日本3-1000'.encode('idna').decode()}.local"


def test_two_keys_that_would_be_one_variable_are_refused_and_both_named(
    coopr: Coopr, catalog: str, tmp_path: Path
) -> None:
    words = ("create", "shop", "--template", TINY, "--catalog", catalog, "-y")
    outcome = coopr(*words, "--set", "client-port=1", "--set", "client_port=2")
    assert outcome.code == 3
    assert {"config.client-port", "config.client_port"} <= set(re.findall(r"config\.[\w-]+", outcome.err))
    write_catalog(tmp_path / "catalog", {"app": service(start="true")}, config={"a": {"b": 1}, "a_b": 2})
    found = coopr("catalog", "validate", catalog).out
    assert "defaults.config.a.b" in found
    assert "defaults.config.a_b" in found
    assert "1 errors" in found


def test_two_services_that_would_be_one_group_of_an_inventory_are_refused_and_both_named() -> None:
    from coopr_cli.access.exports import _groups

    assert _groups(["a-b", "all", "1st"]) == {"a-b": "a_b", "all": "_all", "1st": "_1st"}
    for pair in (("a-b", "a.b"), ("all", "_all"), ("日本", "中国")):
        with pytest.raises(InvalidInput) as caught:
            _groups(pair)
        assert all(name in caught.value.message for name in pair)
