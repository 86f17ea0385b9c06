"""Templates are merged with their parents and partials when the catalog is loaded (section 10, rule D10)."""

from __future__ import annotations

from typing import Any

import pytest
from shared_reference import SHARED, vectors

from coopr_core import Catalog
from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import InvalidInput

_PRESENT = (SHARED / "reference" / "vectors" / "misc.json").exists()
_CASES = [case for case in vectors("misc")["cases"] if case["kind"] == "merge"] if _PRESENT else []


def merged(name: str, *templates: dict[str, Any], partials: tuple[dict[str, Any], ...] = ()) -> ClusterTemplate:
    return Catalog.from_data({"clustertemplates": templates, "partialtemplates": partials}).template(name)


def errors_of(*templates: dict[str, Any], partials: tuple[dict[str, Any], ...] = ()) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data({"clustertemplates": templates, "partialtemplates": partials})
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_templates_merge_as_in_the_original(case: dict[str, Any]) -> None:
    given = [(step["kind"], dict(step["template"])) for step in case["input"]["templates"]]
    child = given[-1][1]
    child["includes"] = [template["name"] for kind, template in given[:-1] if kind == "partial"]
    child["parent"] = next((template["name"] for kind, template in given[:-1] if kind == "cluster"), "")
    data = {
        "clustertemplates": [template for kind, template in given if kind == "cluster"],
        "partialtemplates": [template for kind, template in given if kind == "partial"],
    }
    expected = case["expected"]
    if expected["status"] == "error":
        with pytest.raises(InvalidInput, match="is no DNS suffix"):
            Catalog.from_data(data)
        return
    result = Catalog.from_data(data).template(child["name"])
    wanted = {key: value for key, value in expected["result"].items() if key not in {"version", "includes"}}
    wanted["constraints"]["size"] = {}
    got = result.model_dump(mode="json", exclude={"includes", "parent"}, exclude_defaults=True, exclude_none=True)
    for key, value in wanted.items():
        assert _sparse(got.get(key, value if _sparse(value) in EMPTY else None)) == _sparse(value), key


EMPTY: tuple[Any, ...] = ({}, [], 0, "", None)


def _sparse(value: Any) -> Any:
    """The value without empty and zero entries, which the original writes out."""
    if not isinstance(value, dict):
        return value
    return {key: _sparse(item) for key, item in value.items() if _sparse(item) not in EMPTY}


GRANDPARENT = {
    "name": "grandparent",
    "description": "oldest",
    "defaults": {
        "services": ["a"],
        "provider": "p",
        "hardwaretype": "h",
        "dnsSuffix": "old.org",
        "config": {"k": {"x": 1}, "own": 1},
    },
    "compatibility": {"services": ["a", "b"], "hardwaretypes": ["h"]},
    "constraints": {
        "size": {"min": 2, "max": 9},
        "services": {"a": {"quantities": {"min": 1, "max": 2}}, "b": {"quantities": {"max": 1}}},
        "layout": {"mustcoexist": [["a", "b"]], "cantcoexist": [["a", "c"]]},
    },
    "administration": {"leaseduration": {"initial": "2h"}},
    "links": [{"label": "a", "url": "http://a"}],
}


def test_a_child_inherits_everything_it_does_not_say() -> None:
    child = merged("child", GRANDPARENT, {"name": "child", "parent": "grandparent"})
    parent = ClusterTemplate.model_validate(GRANDPARENT)
    assert child == parent.model_copy(update={"name": "child", "parent": "grandparent"})


def test_size_links_and_lease_are_inherited_and_overridden_one_by_one() -> None:
    child = merged(
        "child",
        GRANDPARENT,
        {
            "name": "child",
            "parent": "grandparent",
            "constraints": {"size": {"max": 5}, "services": {"a": {"quantities": {"max": 3}}}},
            "defaults": {"services": ["c", "a"], "config": {"k": {"y": 2}}, "dnsSuffix": "new.org"},
            "links": [{"label": "b", "url": "http://b"}, {"label": "a", "url": "http://a"}],
        },
    )
    assert (child.constraints.size.min, child.constraints.size.max) == (2, 5)
    assert [link.url for link in child.links] == ["http://a", "http://b"]
    assert child.administration.leaseduration.initial == "2h"
    assert child.constraints.services["a"].quantities.min is None
    assert child.constraints.services["b"].quantities.max == 1
    assert child.defaults.services == ("a", "c")
    assert child.defaults.config == {"k": {"y": 2}, "own": 1}
    assert child.defaults.dnsSuffix == "new.org"
    assert child.description == "oldest"


def test_the_order_is_parents_includes_parent_own_includes_self() -> None:
    def config(value: str, key: str) -> dict[str, Any]:
        return {"defaults": {"services": [value], "config": {"all": value, key: value}}}

    partials = ({"name": "p-include", **config("1", "a")}, {"name": "c-include", **config("3", "c")})
    parent = {"name": "parent", "includes": ["p-include"], **config("2", "a")}
    child = {"name": "child", "parent": "parent", "includes": ["c-include"], **config("4", "c")}
    result = merged("child", parent, child, partials=partials)
    assert result.defaults.services == ("1", "2", "3", "4")
    assert result.defaults.config == {"all": "4", "a": "2", "c": "4"}


def test_groups_are_united_whatever_the_order_of_their_members() -> None:
    child = {
        "name": "child",
        "parent": "grandparent",
        "constraints": {"layout": {"mustcoexist": [["b", "a"], ["b", "c"]]}},
    }
    layout = merged("child", GRANDPARENT, child).constraints.layout
    assert layout.mustcoexist == (("a", "b"), ("b", "c"))
    assert layout.cantcoexist == (("a", "c"),)


def test_an_administration_that_is_given_replaces_the_parents() -> None:
    child = {"name": "child", "parent": "grandparent", "administration": {}}
    assert merged("child", GRANDPARENT, child).administration.leaseduration.initial == 0


def test_a_key_of_an_immutable_partial_is_locked_for_all_that_come_later() -> None:
    partials = (
        {"name": "lock", "immutable": True, "defaults": {"config": {"k": 1, "l": 1}}},
        {"name": "late", "defaults": {"config": {"k": 2}}},
        {"name": "early", "defaults": {"config": {"k": 0}}},
    )
    assert errors_of({"name": "t", "includes": ["lock", "late"]}, partials=partials) == [
        'partialtemplates/late: defaults.config.k: must not set "k": the immutable partial template lock has set it'
    ]
    assert "l" in errors_of({"name": "t", "includes": ["lock"], "defaults": {"config": {"l": 2}}}, partials=partials)[0]
    assert merged("t", {"name": "t", "includes": ["early", "lock"]}, partials=partials).defaults.config["k"] == 1


def test_what_is_inherited_twice_does_not_lock_itself_out() -> None:
    partials = ({"name": "lock", "immutable": True, "defaults": {"config": {"k": 1}}},)
    parent = {"name": "parent", "includes": ["lock"]}
    child = {"name": "child", "parent": "parent", "includes": ["lock"]}
    assert merged("child", parent, child, partials=partials).defaults.config == {"k": 1}


def test_many_ways_to_one_ancestor_cost_no_more_than_one() -> None:
    twice = ({"name": f"p{n}", "includes": [f"p{n - 1}", f"p{n - 1}"]} for n in range(1, 60))
    partials = ({"name": "p0", "defaults": {"config": {"k": 0}}}, *twice)
    assert merged("t", {"name": "t", "includes": ["p59"]}, partials=partials).defaults.config == {"k": 0}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ([{"name": "a", "parent": "a"}], "clustertemplates/a: parent: inherits from itself: a -> a"),
        (
            [{"name": "c", "parent": "b"}, {"name": "b", "parent": "a"}, {"name": "a", "parent": "c"}],
            "clustertemplates/a: parent: inherits from itself: a -> c -> b -> a",
        ),
        ([{"name": "a", "parent": "basse"}, {"name": "base"}], 'a: parent: no template "basse": did you mean "base"?'),
        ([{"name": "a", "includes": ["x"]}], 'clustertemplates/a: includes[0]: no partial template "x"'),
    ],
)
def test_cycles_and_missing_parents_are_errors_that_name_them(templates: list[dict[str, Any]], message: str) -> None:
    (error,) = errors_of(*templates)
    assert message in error


def test_a_cycle_of_partials_is_found_though_no_template_includes_it() -> None:
    partials = ({"name": "p", "includes": ["q"]}, {"name": "q", "includes": ["p"]})
    (error,) = errors_of(partials=partials)
    assert "inherits from itself: p -> q -> p" in error


def test_a_very_long_line_of_parents_is_refused_rather_than_followed() -> None:
    templates = [{"name": f"t{n:05}", "parent": f"t{n + 1:05}"} for n in range(3000)] + [{"name": "t03000"}]
    assert "more than 100 templates" in errors_of(*templates)[0]
