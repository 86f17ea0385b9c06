"""A running cluster gets more or fewer nodes of one service, and no node that stays moves."""

from __future__ import annotations

from collections import Counter

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from solver_catalogs import Entities, small_catalog, small_request

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.solver import Unsatisfiable, solve

APART = {
    "layout": {"cantcoexist": [["web", "data"]]},
    "services": {"web": {"quantities": {"min": 1}}, "data": {"quantities": {"min": 1, "max": 2}}},
}


def web_and_data() -> Entities:
    return small_catalog({**APART, "size": {"min": 2, "max": 12}}, ["tools", "web", "data"])


def placed(layout) -> Counter[str]:
    return Counter(name for node in layout.nodes for name in node.services)


@examples(25)
@given(before=st.integers(2, 8), after=st.integers(1, 8))
def test_a_service_gets_as_many_nodes_as_asked_and_every_node_that_stays_is_as_it_was(before: int, after: int) -> None:
    catalog = web_and_data()
    current = solve(catalog, small_request(before))
    had = placed(current)
    scaled = solve(catalog, small_request(before), current=current, counts={"web": after})
    assert placed(scaled)["web"] == after
    assert placed(scaled)["data"] == had["data"]
    assert len(scaled.nodes) == before + after - had["web"]
    both = {node.number: node for node in current.nodes}
    kept = [node for node in scaled.nodes if node.number in both]
    assert kept == [both[node.number] for node in kept]
    gone = [node for number, node in both.items() if number not in {n.number for n in scaled.nodes}]
    stayed = [node.number for node in kept if "web" in node.services]
    assert all("web" in node.services and node.number > max(stayed) for node in gone)


def test_new_nodes_bring_what_every_node_has() -> None:
    catalog = web_and_data()
    current = solve(catalog, small_request(3))
    scaled = solve(catalog, small_request(3), current=current, counts={"web": 4})
    assert {node.services for node in scaled.nodes if node.number > 1002} == {("tools", "web")}


def test_a_service_without_a_constraint_of_its_own_is_counted_too() -> None:
    catalog = small_catalog({"size": {"max": 9}}, ["tools", "server"])
    current = solve(catalog, small_request(3))
    assert len(solve(catalog, small_request(3), current=current, counts={"server": 5}).nodes) == 5


def test_more_than_the_template_allows_is_refused_with_the_clash_and_the_way_out() -> None:
    catalog = web_and_data()
    current = solve(catalog, small_request(3))
    with pytest.raises(Unsatisfiable) as caught:
        solve(catalog, small_request(3), current=current, counts={"data": 4})
    assert "request: data = 4" in str(caught.value)
    assert "services.data.quantities.max = 2" in str(caught.value)


def test_the_last_node_of_a_service_does_not_leave() -> None:
    catalog = small_catalog({"layout": {"cantcoexist": [["web", "data"]]}}, ["web", "data"])
    current = solve(catalog, small_request(4))
    with pytest.raises(Unsatisfiable, match=r"no service loses its last node|clash"):
        solve(catalog, small_request(4), current=current, counts={"data": 0})


def test_what_cannot_be_meant_is_refused() -> None:
    catalog = web_and_data()
    current = solve(catalog, small_request(4))
    used = placed(current)
    with pytest.raises(NotFound, match="service wen is not on the cluster"):
        solve(catalog, small_request(4), current=current, counts={"wen": 1})
    with pytest.raises(InvalidInput, match="at once is not one change"):
        solve(catalog, small_request(4), current=current, counts={"web": used["web"] + 1, "data": used["data"] - 1})
    with pytest.raises(InvalidInput, match="does not allow a cluster of"):
        solve(catalog, small_request(4), current=current, counts={"web": 40})
    with pytest.raises(InvalidInput, match="only a cluster that is there"):
        solve(catalog, small_request(4), counts={"web": 2})
