"""An automator from another package is as good as ours: checks, fields, settings, secrets, files, records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from automator_plugin import CODE, SERVICE, install_awk
from task_contexts import TASK_ID, node, task
from test_shell_automator import lines

from coopr_core.automators import automator_resources, automator_types, load_automator
from coopr_core.automators.context import TaskContext
from coopr_core.automators.preparation import prepare_node
from coopr_core.catalog import Catalog
from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.operations.soundness import unsound
from coopr_core.remote.command import CommandResult
from coopr_core.remote.session import Session
from coopr_core.settings import load_settings

one_kind = pytest.mark.parametrize("server", ["asyncssh"], indirect=True)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    install_awk(tmp_path / "site", monkeypatch)
    monkeypatch.setenv("COOPR_CACHE_DIR", str(tmp_path / "cache"))


def awk(**fields: Any) -> Service:
    return Catalog.from_data(
        {"services": [{"name": "count", "provisioner": {"actions": {"start": {"type": "awk", "fields": fields}}}}]}
    ).service("count")


class Blocks:
    """A vault of one block."""

    def settings(self, block: str) -> Mapping[str, Any]:
        if block != "coopr-awk-automator-settings/mine":
            raise NotFound(f"no block {block}")
        return {"token": "s3cret"}


def test_it_takes_one_short_file() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) < 40


@one_kind
def test_its_programs_run_with_their_resources_environment_and_record(session: Session, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    (catalog / "resources").mkdir(parents=True)
    (catalog / "resources" / "words.txt").write_text("one\ntwo\n")
    (catalog / "services").mkdir()
    (catalog / "services" / "count.yaml").write_text(SERVICE)
    count = Catalog.load([catalog], builtin=False).service("count")
    (tmp_path / "root").mkdir()
    on = node(tmp_path / "root", count, config={"a": 1})
    automator = load_automator("awk")
    assert prepare_node(on, session).exit_status == automator.bootstrap(on, session).exit_status == 0
    watched, seen = lines(session)
    done = automator.run(task("start", count, on), watched)
    assert (done.exit_status, seen) == (0, ["4 count"])
    assert automator.record(TASK_ID, on.root, session)["config"]["cluster"] == {"a": 1}
    cache = tmp_path / "root" / "var/cache/coopr"
    (cache / f"{TASK_ID}.b.json").write_text("another task's, whose id begins alike")

    class Telling(type(automator)):  # type: ignore[misc]
        def properties(self, context: TaskContext, fields: Any, done: CommandResult) -> Mapping[str, Any]:
            return {"lines": done.stdout.split()[0], "times": fields.times}

    told = Telling(automator.settings).run(task("start", count, on), session)
    assert told.properties == {"lines": "4", "times": 2}
    automator.forget(TASK_ID, on.root, session)
    assert [path.name for path in cache.iterdir()] == [f"{TASK_ID}.b.json"]
    with pytest.raises(NotFound):
        automator.record(TASK_ID, on.root, session)


@pytest.mark.parametrize(
    ("fields", "path", "says"),
    [
        ({}, ".program", "'program': is missing"),
        ({"program": 7}, ".program", "'program' must be text, not the number 7"),
        ({"program": "1", "times": 0}, ".times", "'times' must be at least 1, not 0"),
        ({"program": "1", "tims": 2}, ".tims", "unknown field 'tims'; the awk automator knows program, file, times"),
        ({"program": "%config.x%", "times": "%num.service.count%"}, "", ""),
    ],
)
def test_the_catalogs_check_is_made_of_its_fields(fields: dict[str, Any], path: str, says: str) -> None:
    data = {"services": [{"name": "count", "provisioner": {"actions": {"start": {"type": "awk", "fields": fields}}}}]}
    found = [problem for problem in unsound(Catalog.from_data(data)) if problem.severity == "error"]
    assert [problem.path for problem in found] == ([f"provisioner.actions.start.fields{path}"] if says else [])
    assert all(says in problem.message and "service 'count', action 'start'" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("named", "has"),
    [
        ("", ["awk-library"]),
        ("words", ["words", "awk-library"]),
        ("awk-library", ["awk-library"]),
        ("awk-library/more", ["awk-library/more"]),
    ],
)
def test_its_services_need_its_own_resources_where_the_catalog_has_them(
    tmp_path: Path, named: str, has: list[str]
) -> None:
    catalog, actions = tmp_path / "catalog", {"start": {"type": "awk", "fields": {"program": "1"}}}
    (catalog / "services").mkdir(parents=True)
    (catalog / "resources" / "awk-library" / "more").mkdir(parents=True)
    (catalog / "resources" / "words").touch()
    described = {"name": "count", "resources": [named] if named else [], "provisioner": {"actions": actions}}
    (catalog / "services" / "count.json").write_text(json.dumps(described))
    (catalog / "services" / "other.json").write_text(json.dumps({"name": "other"}))

    def needed(service: str) -> list[str]:
        found = Catalog.load([catalog], builtin=False, resources_of=automator_resources).service(service).resources
        assert all(resource.version for resource in found)
        return [resource.name for resource in found]

    assert needed("count") == has
    assert needed("other") == []
    shutil.rmtree(catalog / "resources" / "awk-library")
    if "/" not in named:
        (catalog / "services" / "count.json").write_text(json.dumps({**described, "resources": []}))
        assert needed("count") == []


def test_an_expanded_field_that_is_wrong_is_refused_before_connecting(tmp_path: Path) -> None:
    nobody: Any = None
    count = awk(program="1", times="%num.service.count%")
    with pytest.raises(InvalidInput, match=r"action 'start' of service 'count' cannot be run\s.*'times' must be"):
        load_automator("awk").run(task("start", count, node(tmp_path, count)), nobody)


def test_its_settings_are_the_installations_and_its_secrets_a_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "coopr.yaml"
    monkeypatch.setenv("COOPR_CONFIG", str(file))
    assert "awk" in automator_types()
    assert load_automator("awk").settings.interpreter == "awk"
    file.write_text("automators: {awk: {interpreter: mawk, credentials: coopr-awk-automator-settings/mine}}\n")
    hidden: list[str] = []
    vault: Any = Blocks()
    settings = load_automator("awk", vault=vault, hide=hidden.append).settings
    assert (settings.interpreter, settings.token.get_secret_value(), hidden) == ("mawk", "s3cret", ["s3cret"])
    assert load_automator("awk").check("start", awk(program="1")) == [], "checking needs no vault"
    file.write_text("automators: {awk: {interpretr: mawk}}\n")
    with pytest.raises(InvalidInput, match=r"automators\.awk\.interpretr: unknown setting; did you mean") as caught:
        load_automator("awk")
    assert "coopr.yaml" in caught.value.hint
    monkeypatch.setenv("COOPR_AUTOMATORS", '{"awk": {"interpreter": "gawk", "token": "s3cret"}}')
    assert load_automator("awk").settings.interpreter == "gawk"
    assert "s3cret" not in json.dumps(load_settings().to_json())
    assert "s3cret" not in repr(load_settings())
    monkeypatch.setenv("COOPR_AUTOMATORS", "{")
    with pytest.raises(InvalidInput, match=r"COOPR_AUTOMATORS.*JSON"):
        load_settings()


def test_a_plug_in_that_is_no_automator_is_named(tmp_path: Path) -> None:
    entry_points = tmp_path / "site" / "coopr_awk-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[coopr.automators]\nawk = coopr_awk:AwkFields\n")
    with pytest.raises(Exception, match=r"coopr_awk:AwkFields is no Automator"):
        load_automator("awk")
