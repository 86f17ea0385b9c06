"""A request for a cluster is checked before anything else, and every wrong value is named as the command names it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from coopr_core import ClusterRequest
from coopr_core.errors import InvalidInput
from coopr_core.model.request import WRITTEN


@pytest.mark.parametrize(
    ("values", "option", "why"),
    [
        ({"name": "a b"}, "name", "is no cluster name"),
        ({"name": None}, "name", "must be text, not nothing"),
        ({"template": ""}, "--template", "must not be empty"),
        ({"size": 0}, "--nodes", "must be at least 1, not 0"),
        ({"size": True}, "--nodes", "must be a whole number, not true"),
        ({"size": "many"}, "--nodes", 'not the text "many"'),
        ({"size": 1.5}, "--nodes", "must be a whole number"),
        ({"services": "nats"}, "--services", "must be a list"),
        ({"services": [1]}, "--services", "must be text"),
        ({"hardware_type": 3}, "--hardware-type", "must be text"),
        ({"config": ["x"]}, "--config", "must be a map"),
        ({"dns_suffix": "a_b"}, "--dns-suffix", "is no DNS suffix"),
        ({"dns_suffix": "lab.-x"}, "--dns-suffix", 'begins or ends with "-"'),
        ({"name": "_"}, "name", "gives no host names"),
        ({"name": "1234"}, "name", "digits alone"),
        ({"lease": "1w"}, "--lease", "is no duration"),
        ({"lease": [1]}, "--lease", "must be a whole number or text"),
        ({"optimize": "speed"}, "--optimize", '"preference" or "cost"'),
        ({"nodes": 3}, "--nodes", 'unknown key "nodes"'),
    ],
)
def test_a_wrong_value_is_named_as_the_command_names_it(values: dict[str, Any], option: str, why: str) -> None:
    with pytest.raises(InvalidInput) as error:
        ClusterRequest.parse(**{"name": "demo", "template": "nats", **values})
    (problem,) = error.value.problems
    assert problem.path == option
    assert why in problem.message
    assert error.value.exit_code == 3


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        ClusterRequest.parse(name="", size=-1, lease="soon")
    assert [problem.path for problem in error.value.problems] == ["name", "--template", "--nodes", "--lease"]


def test_a_right_request_is_a_plain_value() -> None:
    request = ClusterRequest.parse(name="demo", template="nats", size=3, services=["a"], lease="2h")
    assert request == ClusterRequest(name="demo", template="nats", size=3, services=("a",), lease="2h")
    with pytest.raises(ValidationError):
        request.size = 4  # type: ignore[misc]


def test_everything_of_a_request_is_written_down() -> None:
    assert set(WRITTEN) == set(ClusterRequest.model_fields)
