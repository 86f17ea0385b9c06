"""What tasks are told of their cluster is made once for all of them, and is always as the cluster is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from store_samples import record_cluster

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.macros import expand
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import NodeState
from coopr_core.providers.contract import Machine
from coopr_core.store import Store
from coopr_core.work.membership import Membership
from coopr_core.work.picture import ClusterPicture

NUMBERS = (1000, 1001, 1002)


def _picture(store: Store, config: Mapping[str, Any], membership: Membership | None = None) -> ClusterPicture:
    nodes = tuple(Node(number, services=("db",)) for number in NUMBERS)
    layout = ClusterLayout(nodes, {}, template="t", provider="local", config=config)
    request = ClusterRequest(name="c", template="t")
    cluster = record_cluster(store, request, ClusterTemplate(name="t"), layout, owner="bob")
    return ClusterPicture(store, cluster, layout, membership or Membership(), lambda name: f"secret {name}")


def _address(picture: ClusterPicture, number: int, address: str) -> None:
    addresses = {"access_v4": address, "bind_v4": address}
    machine = Machine(f"t{number}", f"m{number}", picture.cluster.id, number, addresses=addresses)
    picture.record_machine(number, machine, NodeState.CONFIRMED)


def test_what_a_task_is_told_of_the_nodes_is_the_same_value_for_all_tasks(store: Store) -> None:
    picture = _picture(store, {})
    described = picture.seen(1000).properties
    assert described is picture.seen(1001).properties
    assert list(described) == ["1000", "1001", "1002"]


def test_what_a_task_was_told_does_not_change_when_the_cluster_does(store: Store) -> None:
    picture = _picture(store, {})
    before = picture.seen(1000).properties
    _address(picture, 1001, "10.0.0.2")
    picture.record_properties(1001, {"port": 5432})
    now = picture.seen(1000).properties
    assert (before["1001"]["ipaddresses"], "port" in before["1001"]) == ({}, False)
    assert (now["1001"]["ipaddresses"]["bind_v4"], now["1001"]["port"]) == ("10.0.0.2", 5432)
    assert now["1000"] is before["1000"], "only what changed is made anew"
    assert list(now) == list(before)


def test_config_that_does_not_speak_of_the_node_is_expanded_once_until_an_address_changes(store: Store) -> None:
    picture = _picture(store, {"all": "%ip.service.db%", "password": "%secret.p%"})
    for number in NUMBERS:
        _address(picture, number, f"10.0.0.{number - 999}")
    config = picture.config(1000)
    assert config is picture.config(1002)
    assert config == {"all": "10.0.0.1,10.0.0.2,10.0.0.3", "password": "secret p"}
    picture.record_properties(1001, {"port": 5432})
    assert picture.config(1001) is config, "a property is nothing that macros see"
    _address(picture, 1001, "10.0.0.9")
    assert picture.config(1000)["all"] == "10.0.0.1,10.0.0.9,10.0.0.3"


@pytest.mark.parametrize("own", ["%ip.self%", "%instance.self.service.db%", "%host.self%"])
def test_config_that_speaks_of_the_node_is_each_nodes_own(store: Store, own: str) -> None:
    picture = _picture(store, {"mine": own})
    for number in NUMBERS:
        _address(picture, number, f"10.0.0.{number - 999}")
    found = {number: picture.config(number)["mine"] for number in NUMBERS}
    assert len(set(found.values())) == 3
    assert found == {number: expand(own, picture.macros(number)) for number in NUMBERS}


def test_nodes_that_leave_see_all_and_those_that_stay_see_each_other(store: Store) -> None:
    picture = _picture(store, {"hosts": "%host.service.db%"}, Membership(leaving=frozenset({1002})))
    assert list(picture.seen(1000).properties) == ["1000", "1001"]
    assert list(picture.seen(1002).properties) == ["1000", "1001", "1002"]
    assert [len(picture.config(number)["hosts"].split(",")) for number in NUMBERS] == [2, 2, 3]
    assert picture.leaving_with("db", 1002) == [picture.node(1002).host_name]
    assert picture.leaving_with("db", 1000) == []


def test_a_node_that_is_left_out_is_not_told_of_any_more(store: Store) -> None:
    picture = _picture(store, {"count": "%num.service.db%"})
    assert picture.config(1000)["count"] == "3"
    picture.leave_out(1001)
    assert picture.config(1000)["count"] == "2"
    assert list(picture.seen(1002).properties) == ["1000", "1002"]
