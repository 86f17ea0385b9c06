"""The original's own way to write inheritance is read; its older format gets one message that says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coopr_core import Catalog, ClusterRequest, solve
from coopr_core.errors import InvalidInput, Problem, told

BASE = {
    "name": "base-app",
    "version": "1",
    "defaults": {
        "services": ["app"],
        "provider": "local",
        "hardwaretype": "local-small",
        "imagetype": "local-python",
        "config": {"a": "1"},
    },
    "constraints": {"size": {"min": "1", "max": "4"}},
}
MONITORED = {"name": "mon", "version": 3, "immutable": "false", "defaults": {"config": {"mon": "yes"}}}
APP = {"name": "app", "version": "1.10"}

OLDER = "format before Coopr 0.9.7: dependson is dependencies.runtime.requires, script and data are fields"


def write(root: Path, **folders: list[dict[str, Any]]) -> Path:
    for folder, entities in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for entity in entities:
            (root / folder / f"{entity['name']}.json").write_text(json.dumps(entity, indent=1))
    return root


def errors_of(**data: list[Any]) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data(data)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize("extends", [{"name": "base-app"}, {"name": "base-app", "version": 2}, "base-app"])
@pytest.mark.parametrize("includes", [[{"name": "mon"}], ["mon"], [{"name": "mon", "version": 1}]])
def test_the_originals_extends_and_includes_are_parent_and_partials(
    tmp_path: Path, extends: object, includes: list[object]
) -> None:
    child = {"name": "child-app", "version": 1, "extends": extends, "includes": includes}
    write(tmp_path, services=[APP], partialtemplates=[MONITORED], clustertemplates=[BASE, child])
    catalog = Catalog.load(tmp_path)
    template = catalog.template("child-app")
    assert (template.parent, template.includes) == ("base-app", ("mon",))
    assert template.defaults.config == {"a": "1", "mon": "yes"}
    assert template.constraints.size.max == 4
    layout = solve(catalog, ClusterRequest(name="c", template="child-app", size=1))
    assert [node.services for node in layout.nodes] == [("app",)]
    assert [str(problem) for problem in catalog.problems] == []


def test_every_kind_of_entity_may_have_a_version_as_number_or_text() -> None:
    catalog = Catalog.from_data(
        {
            "services": [APP],
            "clustertemplates": [BASE],
            "hardwaretypes": [{"name": "h", "version": 2}],
            "imagetypes": [{"name": "i", "version": None}],
            "providers": [{"name": "p", "version": "1", "providertype": "local"}],
        }
    )
    assert catalog.service("app").version == "1.10"
    assert catalog.hardware_type("h").version == "2"
    assert catalog.image_type("i").version == ""


def test_a_parent_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    child = {"name": "child", "extends": {"name": "bse"}, "includes": [{"name": "gone"}]}
    root = write(tmp_path, clustertemplates=[{"name": "base"}, child])
    with pytest.raises(InvalidInput) as error:
        Catalog.load(root, builtin=False)
    assert [(p.line, p.path, p.message) for p in error.value.problems] == [
        (3, "extends", 'no template "bse": did you mean "base"?'),
        (7, "includes[0]", 'no partial template "gone"'),
    ]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"extends": {"nme": "b"}}, 'extends: must be a name, or a map with the name alone: {"name": "base"}'),
        ({"extends": ["b"]}, "extends: must be text, not a list"),
        ({"includes": [{"name": 3}]}, 'includes[0]: must be a name, or a map with the name alone: {"name": "base"}'),
        ({"parent": "b", "extends": {"name": "c"}}, "extends: says what another key there says already: write one"),
        ({"extend": "b"}, 'extend: unknown key "extend": did you mean "extends"?'),
    ],
)
def test_what_is_neither_the_originals_way_nor_ours_is_an_error(template: dict[str, Any], expected: str) -> None:
    (error,) = errors_of(clustertemplates=[{"name": "t", **template}])
    assert error.startswith(f"clustertemplates/t: {expected}")


def test_provider_fields_below_auth_are_read_as_before_coopr_0_9_8() -> None:
    old = {"name": "p", "providertype": "x", "provisioner": {"auth": {"region": "r"}}}
    assert Catalog.from_data({"providers": [old]}).provider("p").provisioner == {"region": "r"}


def test_a_service_of_loom_gets_one_message_whatever_it_defines() -> None:
    actions = {name: {"type": "shell", "script": "x.sh", "data": name} for name in ("install", "start", "stop")}
    errors = errors_of(
        services=[
            {"name": "base", "dependson": [], "provisioner": {"actions": actions}},
            {"name": "web", "dependson": ["base"]},
            {"name": "now", "provisioner": {"actions": {"start": {"fields": {"command": "true"}}}}},
        ]
    )
    assert len(errors) == 2
    assert errors[0].startswith("services/base: ")
    assert errors[1].startswith("services/web: dependson: ")
    assert all(OLDER in error for error in errors)


def test_what_else_is_wrong_in_a_service_of_loom_is_told_too() -> None:
    actions = {"start": {"script": "x.sh", "fieds": {}}}
    errors = errors_of(services=[{"name": "a", "provisioner": {"actions": actions}, "link": []}])
    assert len(errors) == 3
    assert sum(OLDER in error for error in errors) == 1
    assert any('unknown key "fieds": did you mean "fields"?' in error for error in errors)


def test_a_whole_catalog_of_loom_is_told_in_a_few_lines_with_how_many_there_are() -> None:
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data({"services": [{"name": f"s{n:02}", "dependson": ["x"]} for n in range(60)]})
    assert len(error.value.problems) == 60, "a program is told all"
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0].strip() for line in lines] == [
        "the catalog has 60 errors", "services/s00", "services/s01", "services/s02", "the same in 57 other places",
    ]  # fmt: skip


def test_a_flood_of_one_cause_is_cut_short_and_others_are_not_lost_in_it() -> None:
    flood = [Problem('no provider "aws"', file=f"h{n:03}.yaml", severity="warning") for n in range(100)]
    others = [Problem("is empty", file="a.yaml"), Problem('no provider "aws"', file="x.yaml")]
    lines = list(told([*flood[:50], *others, *flood[50:]]))
    assert [text.partition(":")[0] for _, text in lines] == [
        "h000.yaml", "h001.yaml", "h002.yaml", "a.yaml", "x.yaml", "the same in 97 other places",
    ]  # fmt: skip
    assert list(told(flood[:10])) == [("warning", str(problem)) for problem in flood[:10]]
