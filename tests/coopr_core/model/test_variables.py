"""No two values of a config become one variable of scripts."""

from __future__ import annotations

from typing import Any

import pytest

from coopr_core.model.variables import clashes, config_variables


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ({"client-port": 1, "client_port": 2}, ["config.client-port", "config.client_port"]),
        ({"Port": 1, "port": 2}, ["config.Port", "config.port"]),
        ({"a": {"b": 1}, "a_b": 2}, ["config.a.b", "config.a_b"]),
        ({"a": {"b": 1}, "a.b": 2}, ["config.a.b", "config.a.b"]),
        ({"a": {"b-c": [1, 2]}, "a-b": {"c": None}}, ["config.a-b.c", "config.a.b-c"]),
        ({"a/b": [{"x": 1}], "a": {"b": [{"x": 2}]}}, ["config.a.b", "config.a/b"]),
        ({"ä": 1, "ö": 2}, ["config.ä", "config.ö"]),
    ],
)
def test_two_values_that_become_one_variable_are_both_named(config: dict[str, Any], paths: list[str]) -> None:
    (problem,) = clashes(config)
    assert all(path in str(problem) for path in paths)
    assert "in scripts, as config." in problem.message


def test_values_that_stay_apart_are_all_there() -> None:
    config = {"a": {"b": 1, "c": [1, 2], "d": [{"e": 1}]}, "a-b": {"c": True}, "A_d": "x", "ab": None}
    assert clashes(config) == []
    assert config_variables(config) == {
        "COOPR_CONFIG_A_B": "1",
        "COOPR_CONFIG_A_C": "1 2",
        "COOPR_CONFIG_A_B_C": "true",
        "COOPR_CONFIG_A_D": "x",
        "COOPR_CONFIG_AB": "",
    }
