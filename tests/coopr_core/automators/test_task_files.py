"""What is rendered once for all tasks gives each task the same files as rendering all of it would."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from task_contexts import node, service, task

from coopr_core.automators.context import SeenNodes, TaskContext
from coopr_core.automators.keys import key_lines
from coopr_core.automators.task_files import task_files, task_json, task_keys, task_text

NODES = {
    "1000": {"hostname": "a", "ipaddresses": {"bind_v4": "127.0.0.1"}, "services": ["demo"], "odd\tkey": "50%\n'č'"},
    "1001": {"hostname": "b", "ipaddresses": {}, "services": [], "port": 5432, "none": None},
}


@pytest.fixture(params=[{}, NODES], ids=["no nodes", "nodes"])
def context(request: pytest.FixtureRequest) -> TaskContext:
    demo = service(start={"command": "echo '%'"})
    on = node(Path("/"), demo, config={"a": {"b": [1, {"c": "d\n%"}]}, "ž": True})
    return replace(task("start", demo, on), nodes=SeenNodes(request.param), leaving=["a.local"])


def test_the_json_is_the_same(context: TaskContext) -> None:
    assert json.loads(task_text(context)) == task_json(context)
    assert task_json(context)["config"]["nodes"] == context.nodes.properties


def test_the_keys_are_the_same(context: TaskContext) -> None:
    expected, found = key_lines(task_json(context)).splitlines(), task_keys(context).splitlines()
    assert sorted(found) == sorted(expected)


def test_a_nodes_own_task_leaves_its_json_alone(context: TaskContext) -> None:
    bootstrap = replace(context, action="BOOTSTRAP", service=None, config={}, fields={})
    assert list(task_files(bootstrap)) == ["json"]
    assert task_json(bootstrap)["config"]["service"] == {}


def test_what_may_be_secret_is_not_in_a_contexts_own_text(context: TaskContext) -> None:
    secret = replace(context, config={"password": "s3cret"}, fields={"command": "s3cret"})
    assert "s3cret" not in repr(secret)
