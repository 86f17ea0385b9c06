"""The sample macros of the original: ours gives the same text, or says why not (rule D14)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from shared_reference import SHARED, vectors

from coopr_core.macros import MacroContext, MacroNode, UnresolvedMacro, check_macros, expand
from coopr_core.macros.forms import BadMacro
from coopr_core.macros.syntax import parse

_PRESENT = (SHARED / "reference" / "vectors" / "macros.json").exists()
_CASES = vectors("macros")["cases"] if _PRESENT else []
_TEXTS = [case for case in _CASES if "text" in case]
_TREES = [case for case in _CASES if "json" in case]

UNRESOLVABLE_IS_AN_ERROR = {"macro-052", "macro-054"}
"""Excused by D14: the original leaves the macro of a service nobody has, or drops it."""


def context(case: dict[str, Any]) -> MacroContext:
    meta = vectors("macros")["meta"]
    nodes = [
        MacroNode(node["num"], node["hostname"] or "", node["services"], node["ips"])
        for node in meta["envs"][case["env"]]
    ]
    return MacroContext(meta["owner"], nodes, case["self"])


@pytest.mark.parametrize("case", _TEXTS, ids=lambda case: case["id"])
def test_a_macro_expands_as_in_the_original(case: dict[str, Any]) -> None:
    expected = case["expected"]
    if expected["status"] == "error" or case["id"] in UNRESOLVABLE_IS_AN_ERROR:
        with pytest.raises(UnresolvedMacro) as error:
            expand({"key": case["text"]}, context(case))
        assert error.value.problems[0].path == "config.key"
        assert f"node {case['self']}" in error.value.problems[0].message
    else:
        assert expand({"key": case["text"]}, context(case)) == {"key": expected["result"]}


@pytest.mark.parametrize("case", _TEXTS, ids=lambda case: case["id"])
def test_what_the_original_refuses_to_parse_is_refused_before_there_is_a_cluster(case: dict[str, Any]) -> None:
    services = {service for node in context(case).nodes for service in node.services}
    problems = check_macros(case["text"], services)
    if case["expected"]["validate"] == "ok":
        parse(case["text"])
    else:
        assert [problem.severity for problem in problems] == ["error"]
        with pytest.raises(BadMacro):
            parse(case["text"])


@pytest.mark.parametrize("case", _TREES, ids=lambda case: case["id"])
def test_values_of_a_tree_are_expanded_and_keys_are_not(case: dict[str, Any]) -> None:
    expanded = copy.deepcopy(case["json"])
    *way, last = case["path"]
    above = expanded
    for key in way:
        above = above.get(key) if isinstance(above, dict) else None
    if isinstance(above, dict) and last in above:
        above[last] = expand(above[last], context(case), ".".join(case["path"]))
    assert expanded == case["expected"]["result"]


def test_the_sample_macros_are_there() -> None:
    assert len(vectors("macros")["cases"]) > 40
