"""Ratios, spread over zones, cost: off by default, and right when asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from solver_catalogs import rows, small_catalog, small_request

from coopr_core.model.layout import ClusterLayout
from coopr_core.solver import Unsatisfiable, solve


@pytest.mark.parametrize(("size", "brokers"), [(1, 1), (5, 1), (6, 2), (10, 2), (11, 3)])
def test_a_ratio_of_5_is_one_node_in_five_rounded_up(size: int, brokers: int) -> None:
    catalog = small_catalog({"services": {"broker": {"quantities": {"ratio": 5}}}}, ["broker", "app"])
    assert len(solve(catalog, small_request(size)).nodes_with("broker")) == brokers


def test_a_ratio_is_held_within_minimum_and_maximum() -> None:
    own = {"quantities": {"ratio": 5, "min": 2, "max": 3}}
    catalog = small_catalog({"services": {"broker": own}}, ["broker", "app"])
    counts = {size: len(solve(catalog, small_request(size)).nodes_with("broker")) for size in (3, 11, 50)}
    assert counts == {3: 2, 11: 3, 50: 3}


def test_a_growing_cluster_keeps_its_ratio() -> None:
    catalog = small_catalog({"services": {"broker": {"quantities": {"ratio": 5}}}}, ["broker", "app"])
    small = solve(catalog, small_request(5))
    grown = solve(catalog, small_request(11), small)
    assert grown.nodes[:5] == small.nodes
    assert len(grown.nodes_with("broker")) == 3


def test_a_ratio_that_no_size_can_keep_is_refused() -> None:
    constraints = {
        "services": {"a": {"quantities": {"ratio": 2}}, "b": {"quantities": {"max": 1}}},
        "layout": {"mustcoexist": [["a", "b"]]},
    }
    with pytest.raises(Unsatisfiable) as refusal:
        solve(small_catalog(constraints, ["a", "b", "c"]), small_request(4))
    assert "template t: services.a.quantities.ratio = 2" in map(str, refusal.value.clash)
    assert refusal.value.sizes == (2,)


def zones_of(layout: ClusterLayout, service: str) -> list[int]:
    return sorted(Counter(node.zone for node in layout.nodes_with(service)).values())


@pytest.mark.parametrize("zones", [["z1", "z2", "z3"], "z1, z2, z3"])
def test_services_are_spread_evenly_over_the_zones_when_asked(zones: object) -> None:
    constraints = {
        "services": {"db": {"spread": True, "quantities": {"max": 4}}, "app": {"spread": True}},
        "layout": {"cantcoexist": [["db", "app"]]},
    }
    layout = solve(small_catalog(constraints, ["db", "app", "base"], zones=zones), small_request(9))
    assert zones_of(layout, "app") == [1, 2, 2] or zones_of(layout, "app") == [2, 3, 3]
    assert max(zones_of(layout, "db")) - min(zones_of(layout, "db")) <= 1
    assert {node.zone for node in layout.nodes} == {"z1", "z2", "z3"}


def test_nodes_have_no_zone_when_nothing_is_spread_or_there_is_one_zone() -> None:
    spread = {"services": {"db": {"spread": True}}}
    assert {n.zone for n in solve(small_catalog({}, ["db"], zones=["x", "y"]), small_request(3)).nodes} == {""}
    assert {n.zone for n in solve(small_catalog(spread, ["db"], zones=["x"]), small_request(3)).nodes} == {""}


def test_new_nodes_go_to_the_zones_that_have_fewest() -> None:
    catalog = small_catalog({"services": {"db": {"spread": True}}}, ["db"], zones=["x", "y"])
    small = solve(catalog, small_request(1))
    grown = solve(catalog, small_request(4), small)
    assert [node.zone for node in grown.nodes] == ["x", "y", "x", "y"]


def test_the_cheapest_hardware_is_taken_only_when_cost_is_asked_for() -> None:
    catalog = small_catalog({}, ["a"], {"big": "2.5", "small": "0.06"})
    assert {node.hardware_type for node in solve(catalog, small_request(2)).nodes} == {"big"}
    cheap = solve(catalog, small_request(2, optimize="cost"))
    assert [(node.hardware_type, node.price) for node in cheap.nodes] == [("small", 0.06)] * 2


def test_dear_hardware_is_used_on_as_few_nodes_as_constraints_allow() -> None:
    constraints = {"services": {"db": {"hardwaretypes": ["big"], "quantities": {"min": 2}}, "app": {}}}
    catalog = small_catalog(constraints, ["db", "app"], {"big": "2.5", "small": "0.06", "unpriced": ""})
    layout = solve(catalog, small_request(5, optimize="cost"))
    assert Counter(row[0] for row in rows(layout)) == {"big": 2, "small": 3}
    assert rows(layout)[0] == ("big", "im", ("app", "db"))


def test_hardware_without_a_price_is_the_last_resort_and_has_no_price() -> None:
    constraints = {"services": {"db": {"hardwaretypes": ["unpriced"], "quantities": {"max": 1}}, "app": {}}}
    catalog = small_catalog(constraints, ["db", "app"], {"unpriced": "on request", "small": "0.06"})
    layout = solve(catalog, small_request(3, optimize="cost"))
    assert [(node.hardware_type, node.price) for node in layout.nodes] == [
        ("unpriced", None),
        ("small", 0.06),
        ("small", 0.06),
    ]


def test_a_request_for_cost_that_nothing_satisfies_is_explained_like_any_other() -> None:
    constraints = {"services": {"a": {"quantities": {"min": 3, "max": 1}}}}
    catalog = small_catalog(constraints, ["a", "b"], {"big": "2.5", "small": "0.06"})
    with pytest.raises(Unsatisfiable) as refusal:
        solve(catalog, small_request(4, optimize="cost"))
    assert len(refusal.value.clash) == 2
