"""What a command shows is what its flow runs: the same catalog, and of a plan file nothing that could be edited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.model.quotas import Quota
from coopr_core.operations.plan_file import load_plan
from coopr_core.store import Store

RUNS = 77


class GotThrough(CooprError):
    """A command that would run its flow now."""

    exit_code = RUNS


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands run up to where a flow would be called, on records and in a folder of this test's own."""
    import deployments.server

    def refuse() -> None:
        raise GotThrough("it would run")

    monkeypatch.setattr(deployments.server, "ensure_server", refuse)
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'coopr.db'}")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A catalog whose template ``nats`` is another one than the builtin."""
    write_catalog(tmp_path / "mine", {"only-mine": service(start="true")})
    template = json.loads((tmp_path / "mine" / "clustertemplates" / "tiny.json").read_text())
    (tmp_path / "mine" / "clustertemplates" / "nats.json").write_text(json.dumps({**template, "name": "nats"}))
    return tmp_path / "mine"


@pytest.fixture(params=["environment", "environment, relative", "coopr.yaml", "coopr.yaml of the user"])
def setting(request: pytest.FixtureRequest, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting ``catalog`` names that catalog, from wherever it may come."""
    if request.param == "environment":
        monkeypatch.setenv("COOPR_CATALOG", str(mine))
    elif request.param == "environment, relative":
        monkeypatch.setenv("COOPR_CATALOG", "../mine")
    elif request.param == "coopr.yaml":
        Path("coopr.yaml").write_text("catalog: [../mine]\n")
    else:
        monkeypatch.setenv("COOPR_CONFIG", str(tmp_path / "user.yaml"))
        (tmp_path / "user.yaml").write_text("catalog: mine\n")


@pytest.mark.usefixtures("setting")
def test_the_setting_catalog_is_what_every_command_looks_into(coopr: Coopr) -> None:
    planned = coopr("plan", "c", "-t", "nats", "-n", "2", "--json").json
    assert {name for node in planned["nodes"] for name in node["services"]} == {"only-mine"}
    assert "only-mine" in coopr("create", "c", "-t", "nats", "-n", "2").out
    assert coopr("plan", "c", "-t", "nats", "-n", "2", "-o", "c.plan").code == 0
    applied = coopr("apply", "c.plan")
    assert (applied.code, "only-mine" in applied.out) == (RUNS, True)
    assert "only-mine" in coopr("catalog", "list", "services").out
    assert "only-mine" in coopr("catalog", "show", "nats").out
    assert coopr("catalog", "validate").code == 0


def test_what_a_create_passes_on_is_every_folder_and_what_was_shown(
    coopr: Coopr, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coopr_cli.create
    from coopr_core.operations.create import prepare_create

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(coopr_cli.create, "_create", lambda _store, parameters, _output: given.append(parameters))
    monkeypatch.setenv("COOPR_CATALOG", "../mine")
    write_catalog(tmp_path / "more", {"more": service(start="true")})
    coopr("create", "c", "-t", "tiny", "--catalog", "../more", "-y")
    assert [Path(folder).resolve() for folder in given[0]["catalog"]] == [mine, tmp_path / "more"]
    assert all(Path(folder).is_absolute() for folder in given[0]["catalog"])
    wanted = {"name": "c", "template": "tiny"}
    with Store.open() as store:
        assert given[0]["confirmed"] == prepare_create(wanted, catalog=given[0]["catalog"], store=store).digest
        other = prepare_create(wanted, catalog=[mine], store=store).digest
    assert given[0]["confirmed"] != other


def test_a_plan_as_json_has_the_digest_that_a_create_takes(coopr: Coopr, mine: Path) -> None:
    from coopr_core.operations.create import prepare_create

    words = ("plan", "c", "-t", "nats", "-n", "2", "--catalog", str(mine), "--json")
    with Store.open() as store:
        now = prepare_create({"name": "c", "template": "nats", "size": 2}, catalog=[mine], store=store)
    assert coopr(*words).json["digest"] == now.digest


def test_a_catalog_folder_without_a_name_is_refused(coopr: Coopr) -> None:
    for words in (("plan", "-t", "nats", "--catalog", ""), ("catalog", "list", "--catalog", "")):
        outcome = coopr(*words)
        assert outcome.code == 3
        assert "no name" in outcome.err or "empty" in outcome.err


def saved(coopr: Coopr, *words: str, file: str = "c.plan") -> dict[str, Any]:
    outcome = coopr(*words[:-1], "plan", words[-1], "-t", "nats", "-n", "3", "-o", file)
    assert outcome.code == 0, outcome.err
    value: dict[str, Any] = json.loads(Path(file).read_text())
    return value


def edited(value: Any) -> Iterator[Any]:
    """``value`` with one thing in it changed, for each thing in it; and with each thing left out."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: other} for other in edited(part))
            yield {name: other for name, other in value.items() if name != key}
        yield {**value, "more": "x"}
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in edited(part))
            yield [*value[:index], *value[index + 1 :]]
        yield [*value, "x"]
    elif isinstance(value, str):
        yield from (f"{value}x", value[:-1])
    else:
        yield from (value + 1, None)


def test_a_plan_file_with_anything_edited_is_refused(coopr: Coopr, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPR_CATALOG", str(mine))
    value = saved(coopr, "c")
    assert load_plan(Path("c.plan")).name == "c"
    others = list(edited(value))
    assert len(others) > 30
    for other in others:
        Path("x.plan").write_text(json.dumps(other))
        with pytest.raises(InvalidInput):
            load_plan(Path("x.plan"))
    Path("x.plan").write_text(json.dumps({**value, "parts": {}}))
    outcome = coopr("apply", "x.plan")
    assert (outcome.code, "changed after it was made" in outcome.err) == (3, True)
    Path("x.plan").write_text(json.dumps({**value, "version": 1}))
    assert "make the plan again" in coopr("apply", "x.plan").err


def test_whoever_also_makes_a_digest_is_met_by_the_parts(coopr: Coopr) -> None:
    from coopr_core.planner import fingerprint

    value = saved(coopr, "c")
    for other in ({"parts": {}}, {"request": {**value["request"], "size": 5}}):
        forged = {**value, **other}
        forged["digest"] = fingerprint({name: part for name, part in forged.items() if name != "digest"})
        Path("x.plan").write_text(json.dumps(forged))
        assert coopr("apply", "x.plan").code == 10


def test_a_plan_file_holds_nothing_that_is_only_shown(coopr: Coopr) -> None:
    assert set(saved(coopr, "c")) == {
        *("format", "version", "made", "tenant", "request", "catalog", "parts", "digest"),
    }
    assert Path("c.plan").stat().st_mode & 0o777 == 0o600


def test_a_plan_goes_with_its_own_catalog_whatever_the_setting_says_then(
    coopr: Coopr, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(coopr, "c")
    monkeypatch.setenv("COOPR_CATALOG", str(mine))
    applied = coopr("apply", "c.plan")
    assert (applied.code, "only-mine" in applied.out, "nats-server" in applied.out) == (RUNS, False, True), applied.err


def test_what_has_changed_since_is_named(coopr: Coopr, mine: Path) -> None:
    assert coopr("plan", "c", "-t", "nats", "--catalog", str(mine), "-o", "c.plan").code == 0
    file = mine / "services" / "only-mine.json"
    file.write_text(file.read_text().replace('"true"', '"rm -rf /"'))
    outcome = coopr("apply", "c.plan")
    assert (outcome.code, "service only-mine: is another one now" in outcome.err) == (10, True), outcome.err
    assert "template" not in outcome.err


def test_a_plan_is_applied_for_the_tenant_that_asks(coopr: Coopr, store: Store) -> None:
    saved(coopr, "c")
    store.set_quota("lab", Quota(clusters=0))
    assert coopr("apply", "c.plan").code == RUNS
    outcome = coopr("--tenant", "lab", "apply", "c.plan")
    assert (outcome.code, "lab" in outcome.err) == (6, True), outcome.err

    from store_samples import new_cluster

    new_cluster(store, "c")
    assert coopr("apply", "c.plan").code == 10, "the name is taken"
    assert coopr("--tenant", "free", "apply", "c.plan").code == RUNS, "but not of this tenant"
    new_cluster(store, "c", tenant="free")
    outcome = coopr("--tenant", "free", "apply", "c.plan")
    assert (outcome.code, "'c' is taken" in outcome.err) == (10, True)


def test_a_plan_made_for_a_tenant_is_for_no_other(coopr: Coopr) -> None:
    assert saved(coopr, "--tenant", "lab", "c")["tenant"] == "lab"
    assert coopr("--tenant", "lab", "apply", "c.plan").code == RUNS
    for words in (("apply", "c.plan"), ("--tenant", "other", "apply", "c.plan")):
        outcome = coopr(*words)
        assert (outcome.code, "made for tenant 'lab'" in outcome.err) == (10, True), outcome.err


def test_values_of_nothing_in_a_config_stay_what_they_are(coopr: Coopr) -> None:
    words = ("plan", "c", "-t", "nats", "-n", "3", "--set", "nats.system_password=null", "--set", "nats.max_file=")
    assert coopr(*words, "-o", "c.plan").code == 0
    assert coopr("apply", "c.plan").code == RUNS
