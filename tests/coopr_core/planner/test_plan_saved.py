"""Plans as JSON, and fingerprints that tell when the world has moved on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from planner_reference import layout, service
from pydantic import BaseModel

from coopr_core import ClusterRequest
from coopr_core.catalog.entities import Provider, Resource, Service
from coopr_core.errors import InvalidInput
from coopr_core.planner import Plan, fingerprint, plan

ON = layout((service("db"), service("app", runtime=["db"])), ["db"], ["app"], ["app"])


def test_the_json_of_a_plan_has_a_version_and_every_task_with_its_number_and_stage() -> None:
    ours = plan("CLUSTER_CREATE", ON)
    value = json.loads(json.dumps(ours.to_json()))
    assert (value["format"], value["version"], value["operation"]) == ("coopr-plan", 1, "CLUSTER_CREATE")
    listed = [task for stage in value["stages"] for task in stage]
    assert [task["number"] for task in listed] == list(range(1, len(ours) + 1))
    assert [(t["node"], t["action"], t["service"]) for t in listed] == [
        (t.node, t.action, t.service) for t in ours.tasks
    ]
    assert value["counts"] == {
        "tasks": 18,
        "nodes": 3,
        "add": 3,
        "change": 0,
        "destroy": 0,
        "levels": 7,
        "stages": 7,
    }
    assert Plan.from_json(value) == ours


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"format": "shopping-list"}, "not a saved plan"),
        ({"operation": "CLUSTER_EXPLODE"}, "unknown operation 'CLUSTER_EXPLODE'"),
        ({"version": 2}, "version 2 of the format, this coopr reads version 1"),
        ({"steps": "none"}, "damaged"),
        ({"steps": []}, "groups do not have each step once"),
        ({"joins": []}, "a join that is not there"),
        ({"groups": [{"nodes": [1], "steps": list(range(12))}] * 2}, "damaged"),
    ],
)
def test_a_saved_plan_that_is_not_whole_is_refused(damage: dict[str, Any], message: str) -> None:
    value = {**plan("CLUSTER_CREATE", ON).to_json(), **damage}
    with pytest.raises(InvalidInput, match=message):
        Plan.from_json(value)


def test_a_saved_plan_with_a_cycle_is_refused() -> None:
    value = plan("CLUSTER_CREATE", ON).to_json()
    value["steps"][0]["after"] = [1]
    with pytest.raises(InvalidInput, match="cycle through CREATE"):
        Plan.from_json(value)


def test_a_fingerprint_changes_with_a_node_an_action_or_a_config_value_and_with_nothing_else() -> None:
    same = layout((service("app", runtime=["db"]), service("db")), ["db"], ["app"], ["app"])
    assert fingerprint(ON) == fingerprint(same)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    others = [
        replace(ON, nodes=ON.nodes[:2]),
        replace(ON, nodes=(ON.nodes[0].placed(flavor="large"), *ON.nodes[1:])),
        replace(ON, services={**ON.services, "db": service("db", ("install", "start"))}),
        replace(ON, config={"port": 4222}),
        (ON, None),
    ]
    assert len({fingerprint(ON), *map(fingerprint, others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("value", "first", "later"),
    [
        (
            ClusterRequest(name="a", template="nats", hardware_type="small", lease="2h"),
            "c6f35df5e43267dd",
            {"ssh_key": "mine"},
        ),
        (Provider(name="p", providertype="local"), "4945e39ade17c6af", {"credentials": "mine"}),
        (Service(name="s"), "27bf1db3f7a4de69", {"resources": (Resource(name="cookbooks"),)}),
    ],
)
def test_plan_files_of_the_first_release_know_what_has_not_changed_since(
    value: BaseModel, first: str, later: dict[str, Any]
) -> None:
    assert fingerprint(value)[:16] == first
    assert fingerprint(value.model_copy(update=later))[:16] != first


def test_a_plan_has_a_fingerprint_too() -> None:
    assert fingerprint(plan("CLUSTER_CREATE", ON)) == fingerprint(plan("CLUSTER_CREATE", ON))
    assert fingerprint(plan("CLUSTER_CREATE", ON)) != fingerprint(plan("CLUSTER_DELETE", ON))


def test_what_has_no_plain_form_has_no_fingerprint() -> None:
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())
