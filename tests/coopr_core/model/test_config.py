"""Config of a request is deep-merged over the template's (rule D12)."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coopr_core.model.config import merge_config, requested_config


def test_maps_merge_and_everything_else_replaces() -> None:
    base = {"a": {"x": 1, "y": {"z": [1, 2]}}, "b": 1, "c": {"d": 1}, "e": 1}
    over = {"a": {"y": {"z": [3]}, "new": True}, "b": {"c": 2}, "c": 5, "e": None}
    assert merge_config(base, over) == {
        "a": {"x": 1, "y": {"z": [3]}, "new": True},
        "b": {"c": 2},
        "c": 5,
        "e": None,
    }


def test_a_request_may_replace_the_config_whole() -> None:
    template = {"a": {"x": 1}}
    assert requested_config(template, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}
    assert requested_config(template, {"a": {"y": 2}}, "replace") == {"a": {"y": 2}}
    assert requested_config(template, {}, "replace") == {}
    assert requested_config(template, None, "replace") == template


trees = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
configs = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(configs, configs)
def test_neither_side_is_changed_and_the_result_shares_nothing_with_them(base: Any, over: Any) -> None:
    before = copy.deepcopy((base, over))
    merged = merge_config(base, over)
    _spoil(merged)
    assert (base, over) == before


@given(configs)
def test_an_empty_side_changes_nothing(config: Any) -> None:
    assert merge_config(config, {}) == merge_config({}, config) == merge_config(config, config) == config


def _spoil(tree: Any) -> None:
    for value in list(tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []):
        _spoil(value)
    if isinstance(tree, dict | list):
        tree.clear()


def test_a_key_in_another_unicode_form_is_the_same_key() -> None:
    assert merge_config({"café": 1, "b": 2}, {"cafe\u0301": 3}) == {"café": 3, "b": 2}
