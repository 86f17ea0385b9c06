"""Complete, deterministic, and the most preferred layout first: the solver against plain enumeration."""

from __future__ import annotations

from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from solver_catalogs import rows, small_catalog, small_request
from solver_reference import breaks, first_layout

from coopr_core.solver import Unsatisfiable, solve

NAMES = ("a", "b", "c", "d", "e")
HARDWARE = ("large", "small")
IMAGES = ("im1", "im2")


def types(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.one_of(st.just([]), st.just([]), st.lists(st.sampled_from([*names, "gone"]), min_size=1, max_size=2))


@st.composite
def constraints_of(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Constraints over a few services: quantities, types, groups (also with services that are not on the cluster)."""
    quantity = st.fixed_dictionaries({}, optional={"min": st.integers(0, 3), "max": st.integers(0, 4)})
    own = st.fixed_dictionaries(
        {}, optional={"quantities": quantity, "hardwaretypes": types(HARDWARE), "imagetypes": types(IMAGES)}
    )
    group = st.lists(st.sampled_from([*names, "absent"]), min_size=1, max_size=3, unique=True)
    return {
        "services": draw(st.dictionaries(st.sampled_from(names), own, max_size=len(names))),
        "layout": {
            "mustcoexist": draw(st.lists(group, max_size=2)),
            "cantcoexist": draw(st.lists(group, max_size=3)),
        },
    }


@examples(800)
@given(constraints_of(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 2), st.integers(1, 2))
def test_the_answer_is_the_first_layout_in_order_of_preference_and_none_only_when_there_is_none(
    constraints: dict[str, Any], services: int, size: int, hardware: int, images: int
) -> None:
    names = NAMES[:services]
    catalog = small_catalog(constraints, names, HARDWARE[:hardware], IMAGES[:images])
    expected = first_layout(names, constraints, HARDWARE[:hardware], IMAGES[:images], size)
    try:
        layout = solve(catalog, small_request(size))
    except Unsatisfiable:
        assert expected is None
        return
    assert rows(layout) == expected
    assert breaks(rows(layout), names, constraints) == []
    assert solve(catalog, small_request(size)) == layout


def test_a_requested_service_without_a_minimum_is_on_some_node() -> None:
    catalog = small_catalog({"layout": {"cantcoexist": [["a", "b"]]}}, ["a", "b"])
    assert rows(solve(catalog, small_request(3))) == [
        ("hw", "im", ("a",)),
        ("hw", "im", ("a",)),
        ("hw", "im", ("b",)),
    ]


def test_a_service_with_an_explicit_minimum_of_0_may_be_on_no_node() -> None:
    constraints = {"layout": {"cantcoexist": [["a", "b"]]}, "services": {"b": {"quantities": {"min": 0}}}}
    assert {services for _, _, services in rows(solve(small_catalog(constraints, ["a", "b"]), small_request(3)))} == {
        ("a",)
    }


def test_a_service_with_a_maximum_of_0_is_on_no_node() -> None:
    catalog = small_catalog({"services": {"a": {"quantities": {"max": 0}}}}, ["a", "b"])
    assert rows(solve(catalog, small_request(2))) == [("hw", "im", ("b",))] * 2


def test_a_demand_that_only_an_odd_ring_of_conflicts_makes_impossible_is_decided() -> None:
    """Five services in a ring, each on 30 nodes, no two neighbours together: 75 nodes, though 60 seem enough."""
    ring = [["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"], ["e", "a"]]
    constraints = {
        "layout": {"cantcoexist": ring},
        "services": {name: {"quantities": {"min": 30, "max": 30}} for name in NAMES},
    }
    catalog = small_catalog(constraints, NAMES)
    layout = solve(catalog, small_request(75))
    assert breaks(rows(layout), NAMES, constraints) == []
    with pytest.raises(Unsatisfiable) as refusal:
        solve(catalog, small_request(74))
    assert refusal.value.sizes == (75,)


def test_the_layout_carries_services_config_links_and_prices() -> None:
    catalog = small_catalog(
        {"services": {"a": {"quantities": {"max": 1}}}},
        [{"name": "a", "links": [{"label": "A", "url": "http://%host.service.a%"}]}, "b"],
        {"hw": "0.25"},
        defaults={"config": {"x": {"y": 1, "z": 2}}, "dnsSuffix": "example.com"},
        links=[{"url": "http://t"}],
    )
    layout = solve(catalog, small_request(2, config={"x": {"y": 3}}))
    assert layout.config == {"x": {"y": 3, "z": 2}}
    assert [link.url for link in layout.links] == ["http://t", "http://%host.service.a%"]
    assert sorted(layout.services) == ["a", "b"]
    assert (layout.template, layout.provider) == ("t", "p")
    assert [(n.number, n.host_name, n.flavor, n.image, n.ssh_user, n.price) for n in layout.nodes] == [
        (1000, "c1-1000.example.com", "f-hw", "i-im", "root", 0.25),
        (1001, "c1-1001.example.com", "f-hw", "i-im", "root", 0.25),
    ]
    replaced = solve(catalog, small_request(2, config={"n": 1}, config_mode="replace"))
    assert replaced.config == {"n": 1}
