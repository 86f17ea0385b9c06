"""A layout that exists is checked against today's template, and each constraint it breaks is named."""

from __future__ import annotations

from typing import Any

import pytest
from solver_catalogs import small_catalog, small_request

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.placement import Placement
from coopr_core.solver import Unsatisfiable, renewed, solve


def current(*nodes: tuple[str, ...], **more: str) -> ClusterLayout:
    given = Placement(**{"hardware_type": "hw", "image_type": "im", **more})
    return ClusterLayout(
        nodes=tuple(Node(1000 + place, placement=given, services=names) for place, names in enumerate(nodes)),
        template="t",
        provider="p",
    )


ABC = current(("a", "b"), ("a",), ("c",))


@pytest.mark.parametrize(
    ("constraints", "template", "path", "note"),
    [
        ({"services": {"a": {"quantities": {"min": 3}}}}, {}, "services.a.quantities.min", "a is on 2 nodes"),
        ({"services": {"a": {"quantities": {"max": 1}}}}, {}, "services.a.quantities.max", "a is on 2 nodes"),
        ({"services": {"b": {"quantities": {"ratio": 2}}}}, {}, "services.b.quantities.ratio", "b is on 1 node"),
        ({"size": {"min": 4}}, {}, "size.min", "the cluster has 3 nodes"),
        ({"size": {"max": 2}}, {}, "size.max", "the cluster has 3 nodes"),
        ({"layout": {"cantcoexist": [["a", "b"]]}}, {}, "layout.cantcoexist[0]", "not so on node 1000"),
        ({"layout": {"mustcoexist": [["a", "b"]]}}, {}, "layout.mustcoexist[0]", "not so on node 1001"),
        ({"services": {"c": {"hardwaretypes": ["big"]}}}, {}, "services.c.hardwaretypes", "not so on node 1002"),
        ({"services": {"c": {"imagetypes": ["other"]}}}, {}, "services.c.imagetypes", "not so on node 1002"),
        (
            {},
            {"compatibility": {"hardwaretypes": ["big"]}},
            "compatibility.hardwaretypes",
            "not so on nodes 1000, 1001, 1002",
        ),
        ({}, {"compatibility": {"services": ["a", "b"]}}, "compatibility.services", "the cluster has c"),
    ],
)
def test_a_constraint_the_nodes_do_not_obey_is_named_with_where(
    constraints: dict[str, Any], template: dict[str, Any], path: str, note: str
) -> None:
    catalog = small_catalog(constraints, "abc", hardware=["hw", "big"], images=["im", "other"], **template)
    with pytest.raises(Unsatisfiable) as caught:
        renewed(catalog, small_request(3), ABC)
    assert [(clash.path, clash.note) for clash in caught.value.clash] == [(path, note)]
    assert f"template t: {path}" in str(caught.value)


def test_nodes_that_obey_keep_their_place_and_take_todays_services_and_config() -> None:
    catalog = small_catalog(
        {"services": {"a": {"quantities": {"min": 2}}}, "layout": {"cantcoexist": [["a", "c"]]}},
        ["a", "b", {"name": "c", "description": "new words"}],
        defaults={"config": {"port": 2, "size": 1}},
    )
    found = renewed(catalog, small_request(3, config={"size": 9}), ABC)
    assert found.nodes == ABC.nodes
    assert found.config == {"port": 2, "size": 9}
    assert found.services["c"].description == "new words"


def test_another_default_hardware_type_does_not_bind_the_nodes_there_are() -> None:
    catalog = small_catalog({}, "abc", hardware=["hw", "big"], defaults={"hardwaretype": "big"})
    assert renewed(catalog, small_request(3), ABC).nodes == ABC.nodes


def test_a_template_or_service_that_is_gone_is_refused() -> None:
    with pytest.raises(NotFound, match="no service c"):
        renewed(small_catalog({}, "ab"), small_request(3), ABC)
    with pytest.raises(NotFound, match="no template"):
        renewed(small_catalog({}, "abc"), small_request(3).model_copy(update={"template": "other"}), ABC)


def test_a_dependency_that_came_new_and_is_not_on_the_cluster_is_refused() -> None:
    catalog = small_catalog({}, ["a", "b", {"name": "c", "dependencies": {"runtime": {"requires": ["d"]}}}, "d"])
    with pytest.raises(InvalidInput, match="d"):
        renewed(catalog, small_request(3), ABC)


@pytest.mark.parametrize("size", range(1, 8))
def test_what_the_solver_finds_is_valid(size: int) -> None:
    catalog = small_catalog(
        {
            "services": {"a": {"quantities": {"max": 1}}, "b": {"quantities": {"min": 1, "ratio": 3}}},
            "layout": {"mustcoexist": [["b", "c"]]},
        },
        "abcd",
    )
    layout = solve(catalog, small_request(size))
    assert renewed(catalog, small_request(size), layout).nodes == layout.nodes
