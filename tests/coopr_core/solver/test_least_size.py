"""A request without a size gets the least size that has a layout; a refusal says truly which sizes do."""

from __future__ import annotations

from typing import Any

import pytest
from examples import examples
from growth import growth
from hypothesis import HealthCheck, given
from solver_catalogs import rows, small_catalog, small_request
from test_layout_preference import HARDWARE, IMAGES, NAMES, constraints_of

from coopr_core.solver import Unsatisfiable, solve

MOST = 14
"""No small example needs more nodes."""

APART = {"layout": {"cantcoexist": [["a", "b"]]}}


def works(catalog: Any, size: int) -> bool:
    try:
        solve(catalog, small_request(size))
    except Unsatisfiable:
        return False
    return True


def refused(constraints: dict[str, Any], size: int | None, **more: Any) -> Unsatisfiable:
    with pytest.raises(Unsatisfiable) as refusal:
        solve(small_catalog(constraints, ["a", "b"], **more), small_request(size))
    return refusal.value


def test_services_that_cannot_share_a_node_get_two() -> None:
    layout = solve(small_catalog(APART, ["a", "b"]), small_request())
    assert rows(layout) == [("hw", "im", ("a",)), ("hw", "im", ("b",))]


@examples(60, suppress_health_check=[HealthCheck.filter_too_much])
@given(constraints_of())
def test_the_least_size_that_has_a_layout_is_taken_and_with_the_layout_it_has(constraints: dict[str, Any]) -> None:
    catalog = small_catalog(constraints, NAMES, HARDWARE, IMAGES)
    least = next((size for size in range(1, MOST) if works(catalog, size)), None)
    if least is None:
        with pytest.raises(Unsatisfiable) as refusal:
            solve(catalog, small_request())
        assert not any(clash.path == "size" for clash in refusal.value.clash), "nobody asked for a size"
        return
    assert solve(catalog, small_request()) == solve(catalog, small_request(least))


@examples(60, suppress_health_check=[HealthCheck.filter_too_much])
@given(constraints_of())
def test_the_sizes_a_refusal_tells_are_those_that_work(constraints: dict[str, Any]) -> None:
    catalog = small_catalog(constraints, NAMES, HARDWARE, IMAGES)
    working = [size for size in range(1, MOST) if works(catalog, size)]
    for size in (1, 5, MOST - 1):
        if size in working:
            continue
        with pytest.raises(Unsatisfiable) as refusal:
            solve(catalog, small_request(size))
        span = refusal.value.span
        if span is None:
            assert working == []
        else:
            assert working == [n for n in range(1, MOST) if span.first <= n <= (span.last or MOST)]


@pytest.mark.parametrize(
    ("constraints", "size", "text"),
    [
        (APART, 1, "Sizes that work: 2 or more"),
        (APART | {"size": {"max": 50}}, 1, "Sizes that work: 2 to 50"),
        (APART | {"size": {"max": 2}}, 1, "Sizes that work: 2"),
        (
            {"services": {"a": {"quantities": {"max": 1}}, "b": {"quantities": {"max": 3}}}},
            9,
            "Sizes that work: 1 to 4",
        ),
        (
            {
                "services": {"a": {"quantities": {"ratio": 3}}, "b": {"quantities": {"min": 2, "max": 2}}},
                "layout": {"mustcoexist": [["a", "b"]]},
            },
            9,
            "",
        ),
    ],
)
def test_the_sizes_that_work_are_told_once_and_truly(constraints: dict[str, Any], size: int, text: str) -> None:
    refusal = refused(constraints, size)
    whole = f"{refusal}\n{refusal.hint}"
    assert [line for line in whole.splitlines() if "izes that work" in line] == ([text] if text else [])


def test_with_a_ratio_only_the_nearest_sizes_are_told_to_be_the_nearest() -> None:
    constraints = {
        "services": {"a": {"quantities": {"ratio": 3}}, "b": {"quantities": {"max": 1}}, "c": {}},
        "layout": {"mustcoexist": [["a", "b"]]},
    }
    with pytest.raises(Unsatisfiable) as refusal:
        solve(small_catalog(constraints, ["a", "b", "c"]), small_request(7))
    assert "Nearest sizes that work: 3" in str(refusal.value).splitlines()


def test_the_templates_own_bounds_bind_the_size_that_is_taken() -> None:
    assert len(solve(small_catalog(APART | {"size": {"min": 4}}, ["a", "b"]), small_request()).nodes) == 4
    refusal = refused(APART | {"size": {"max": 1}}, None)
    assert "no layout of template t of any size satisfies all constraints" in refusal.message
    assert "template t: size.max = 1" in map(str, refusal.clash)
    assert "Sizes that work" not in str(refusal)


def test_the_least_size_with_a_ratio_and_the_cheapest_hardware_is_taken_too() -> None:
    constraints = {
        "services": {
            "a": {"quantities": {"ratio": 2}},
            "b": {"quantities": {"min": 3}},
            "c": {"quantities": {"min": 2}},
        },
        "layout": {"cantcoexist": [["a", "b"], ["a", "c"], ["b", "c"]]},
    }
    catalog = small_catalog(constraints, ["a", "b", "c"], {"big": "2.5", "small": "0.06"})
    layout = solve(catalog, small_request(optimize="cost"))
    assert len(layout.nodes) == 10, "with 9, five have a: four are left for three b and two c"
    assert {node.hardware_type for node in layout.nodes} == {"small"}


def test_a_size_whose_nodes_cannot_be_spread_over_the_zones_is_passed_over() -> None:
    spread = {"spread": True, "quantities": {"min": 2, "max": 2}}
    constraints = {
        "services": dict.fromkeys(("a", "b", "c"), spread),
        "layout": {"cantcoexist": [["a", "b", "c"]]},
    }
    catalog = small_catalog(constraints, ["a", "b", "c"], zones=["z1", "z2"])
    with pytest.raises(Unsatisfiable, match="spread evenly"):
        solve(catalog, small_request(3))
    assert len(solve(catalog, small_request()).nodes) == 4


def test_looking_for_the_least_size_costs_little_whatever_it_is() -> None:
    def solving(least: int) -> Any:
        own = {"a": {"quantities": {"min": least}}, "b": {"quantities": {"min": least}}}
        catalog = small_catalog({"services": own, **APART}, ["a", "b"])
        return lambda: len(solve(catalog, small_request()).nodes) == 2 * least

    assert growth(solving, 100, 10_000) < 300
