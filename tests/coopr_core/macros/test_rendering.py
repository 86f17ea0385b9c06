"""What a change of config reaches, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coopr_core.catalog.entities import Service
from coopr_core.macros import MacroNode, UnresolvedMacro
from coopr_core.macros.differences import difference
from coopr_core.macros.rendering import changed_services
from coopr_core.model.layout import ClusterLayout, Node


def service(name: str, *config: str, start: str = "true") -> Service:
    action = {"start": {"type": "shell", "fields": {"command": start}}}
    return Service.model_validate({"name": name, "config": config, "provisioner": {"actions": action}})


def layout(config: dict[str, Any], *services: Service, nodes: Sequence[tuple[str, ...]] = ()) -> ClusterLayout:
    names = tuple(sorted(one.name for one in services))
    return ClusterLayout(
        nodes=tuple(Node(1000 + place, services=on) for place, on in enumerate(nodes or [names, names])),
        services={one.name: one for one in services},
        config=config,
    )


def members(made: ClusterLayout) -> list[MacroNode]:
    return [
        MacroNode(node.number, f"h{node.number}", node.services, {"bind_v4": f"10.0.0.{node.number - 999}"})
        for node in made.nodes
    ]


def changed(before: ClusterLayout, after: ClusterLayout) -> dict[int, tuple[str, ...]]:
    return changed_services(before, after, owner="me", nodes_before=members(before), nodes_after=members(after))


WEB, DB, LOG = service("web", "web", "db.port"), service("db", "db"), service("log")


@pytest.mark.parametrize(
    ("config", "reached"),
    [
        ({"web": {"port": 1}, "db": {"port": 2, "size": 3}}, ()),
        ({"web": {"port": 9}, "db": {"port": 2, "size": 3}}, ("log", "web")),
        ({"web": {"port": 1}, "db": {"port": 9, "size": 3}}, ("db", "log", "web")),
        ({"web": {"port": 1}, "db": {"port": 2, "size": 9}}, ("db", "log")),
        ({"web": {"port": 1}, "db": {"port": 2, "size": 3}, "new": 1}, ("log",)),
        ({"web": {"port": 1}, "db": {"size": 3}}, ("db", "log", "web")),
    ],
)
def test_a_service_is_reached_by_the_paths_it_reads_and_by_everything_when_it_names_none(
    config: dict[str, Any], reached: tuple[str, ...]
) -> None:
    before = layout({"web": {"port": 1}, "db": {"port": 2, "size": 3}}, WEB, DB, LOG)
    found = changed(before, layout(config, WEB, DB, LOG))
    assert found == ({1000: reached, 1001: reached} if reached else {})


def test_macros_are_compared_by_what_they_stand_for() -> None:
    one = layout({"web": {"peers": "%host.service.web%"}}, WEB, DB)
    assert changed(one, layout({"web": {"peers": "h1000,h1001"}}, WEB, DB)) == {}
    third = layout(one.config, WEB, DB, nodes=[("web",), ("web",), ("web",)])
    assert changed(layout(one.config, WEB, DB, nodes=[("web",), ("web",)]), third) == {1000: ("web",), 1001: ("web",)}


def test_a_macro_about_the_node_itself_reaches_only_the_nodes_it_differs_on() -> None:
    before = layout({"web": {"first": "h1000"}}, WEB)
    assert changed(before, layout({"web": {"first": "%host.self%"}}, WEB)) == {1001: ("web",)}


def test_another_secret_reaches_a_service_and_the_same_one_does_not() -> None:
    before = layout({"web": {"password": "%secret.a%"}}, WEB)
    assert changed(before, layout({"web": {"password": "%secret.a%"}}, WEB)) == {}
    assert changed(before, layout({"web": {"password": "%secret.b%"}}, WEB)) == {1000: ("web",), 1001: ("web",)}


def test_new_scripts_reach_a_service_and_new_words_about_it_do_not() -> None:
    before = layout({}, WEB, DB)
    described = WEB.model_copy(update={"description": "better", "label": "Web"})
    assert changed(before, layout({}, described, DB)) == {}
    assert changed(before, layout({}, service("web", "web", start="false"), DB)) == {1000: ("web",), 1001: ("web",)}


def test_a_service_that_comes_new_to_a_node_is_not_changed_there() -> None:
    before = layout({"web": 1}, WEB, nodes=[("web",), ()])
    assert changed(before, layout({"web": 2}, WEB, nodes=[("web",), ("web",)])) == {1000: ("web",)}


def test_a_macro_without_a_value_is_named() -> None:
    before = layout({}, WEB)
    with pytest.raises(UnresolvedMacro, match="no node of the cluster has the service other"):
        changed(before, layout({"web": "%host.service.other%"}, WEB))


def test_what_macros_in_an_action_give_reaches_the_service() -> None:
    asks = service("asks", "nothing", start="ask --port %config.web.port% --at %ip.service.web%; date +%Y-%m-%d")
    before = layout({"web": {"port": 1}}, asks, WEB)
    assert changed(before, layout({"web": {"port": 1}, "db": 2}, asks, WEB)) == {}
    assert changed(before, layout({"web": {"port": 2}}, asks, WEB)) == {1000: ("asks", "web"), 1001: ("asks", "web")}
    third = layout(before.config, asks, WEB, nodes=[("asks", "web"), ("asks", "web"), ("web",)])
    assert changed(before, third) == {1000: ("asks",), 1001: ("asks",)}


def test_what_only_install_is_given_reaches_nobody() -> None:
    actions = {"install": {"fields": {"command": "get %config.version%"}}, "start": {"fields": {"command": "true"}}}
    gets = Service.model_validate({"name": "gets", "config": ["nothing"], "provisioner": {"actions": actions}})
    assert changed(layout({"version": 1}, gets), layout({"version": 2}, gets)) == {}


def test_a_value_of_the_config_in_another_is_rendered() -> None:
    before = layout({"web": {"url": "x:%config.port%"}, "port": 1}, WEB)
    assert changed(before, layout({"web": {"url": "x:%config.port%"}, "port": 1, "db": 1}, WEB)) == {}
    assert changed(before, layout({"web": {"url": "x:%config.port%"}, "port": 2}, WEB)) == {
        1000: ("web",),
        1001: ("web",),
    }


def test_a_macro_of_an_action_without_a_value_before_is_a_change() -> None:
    asks = service("asks", "nothing", start="ask %config.port%")
    assert changed(layout({}, asks), layout({"port": 1}, asks)) == {1000: ("asks",), 1001: ("asks",)}


def test_a_difference_is_a_unified_diff_of_the_yaml_and_hides_secrets() -> None:
    before = {"db": {"password": "old one", "port": 1, "token": "same"}, "list": [1, 2]}
    after = {"db": {"password": "new one", "port": 2, "token": "same"}, "list": [1, 3]}
    lines = difference(before, after)
    assert {"-  port: 1", "+  port: 2", "-- 2", "+- 3"} <= set(lines)
    assert {"-  password: '********'", "+  password: '******** (changed)'", "   token: '********'"} <= set(lines)
    assert not any(word in " ".join(lines) for word in ("old one", "new one", "same"))
    assert difference(before, before) == ()


def test_everything_below_a_secret_key_is_hidden() -> None:
    text = " ".join(difference({}, {"api_tokens": {"a": ["x-1", "x-2"], "b": "x-3"}, "secrets": ["x-4"]}))
    assert "x-" not in text
