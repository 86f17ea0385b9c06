"""Where else a node's machine may be made: what its template and its request allow, and nothing else."""

from __future__ import annotations

from typing import Any

from solver_catalogs import small_catalog, small_request

from coopr_core.model.layout import ClusterLayout
from coopr_core.solver import solve

COSTS = {"a-mid": "0.5", "b-cheap": "0.1", "c-dear": "2", "d-free": ""}


def places(layout: ClusterLayout, place: int = 0) -> list[tuple[str, str, float | None]]:
    found = [(a.placement.hardware_type, a.placement.zone, a.price) for a in layout.nodes[place].alternatives]
    assert all(a.placement.provider == "p" for a in layout.nodes[place].alternatives)
    assert all(a.placement.flavor == f"f-{a.placement.hardware_type}" for a in layout.nodes[place].alternatives)
    return found


def test_other_zones_of_its_own_type_come_first_then_other_types_the_cheapest_first() -> None:
    layout = solve(small_catalog({}, ["x"], {"a": "0.5", "b": "0.1"}, zones="z1,z2"), small_request(1))
    assert (layout.nodes[0].hardware_type, layout.nodes[0].zone) == ("a", "")
    assert places(layout) == [
        ("a", "z1", 0.5),
        ("a", "z2", 0.5),
        ("b", "", 0.1),
        ("b", "z1", 0.1),
        ("b", "z2", 0.1),
    ]


def test_types_are_by_price_and_those_without_one_come_last() -> None:
    layout = solve(small_catalog({}, ["x"], COSTS), small_request(1))
    assert places(layout) == [("b-cheap", "", 0.1), ("c-dear", "", 2.0), ("d-free", "", None)]


def test_a_type_that_was_asked_for_or_that_the_template_defaults_to_is_kept() -> None:
    catalog = small_catalog({}, ["x"], COSTS, zones=["z1", "z2"])
    layout = solve(catalog, small_request(1, hardware_type="c-dear"))
    assert places(layout) == [("c-dear", "z1", 2.0), ("c-dear", "z2", 2.0)]
    catalog = small_catalog({}, ["x"], COSTS, defaults={"hardwaretype": "b-cheap"})
    assert places(solve(catalog, small_request(1))) == []


def test_what_a_service_or_the_template_cannot_be_on_is_no_alternative() -> None:
    limited: dict[str, Any] = {"services": {"x": {"hardwaretypes": ["a-mid", "c-dear"]}}}
    assert places(solve(small_catalog(limited, ["x"], COSTS), small_request(1))) == [("c-dear", "", 2.0)]
    compatible = small_catalog({}, ["x"], COSTS, compatibility={"hardwaretypes": ["a-mid", "d-free"]})
    assert places(solve(compatible, small_request(1))) == [("d-free", "", None)]


def test_a_spread_service_keeps_its_node_in_its_zone() -> None:
    spread: dict[str, Any] = {"services": {"x": {"spread": True}}}
    layout = solve(small_catalog(spread, ["x"], {"a": "1", "b": "2"}, zones="z1,z2"), small_request(2))
    assert [node.zone for node in layout.nodes] == ["z1", "z2"]
    assert [places(layout, place) for place in (0, 1)] == [[("b", "z1", 2.0)], [("b", "z2", 2.0)]]


def test_they_are_few_and_no_part_of_what_a_node_is() -> None:
    many = {f"h{number:02}": str(number + 1) for number in range(30)}
    layout = solve(small_catalog({}, ["x"], many), small_request(1))
    assert len(layout.nodes[0].alternatives) == 8
    plain = solve(small_catalog({}, ["x"], many), small_request(1, hardware_type="h00"))
    assert layout.nodes == plain.nodes
    assert layout.nodes[0].to_plain() == plain.nodes[0].to_plain()


def test_a_node_made_anew_has_todays_alternatives() -> None:
    catalog = small_catalog({}, ["x"], {"a": "1", "b": "2"})
    layout = solve(catalog, small_request(1))
    more = small_catalog({}, ["x"], {"a": "1", "b": "2", "c": "3"})
    again = solve(more, small_request(), layout, replace=[1000])
    assert places(again) == [("b", "", 2.0), ("c", "", 3.0)]
