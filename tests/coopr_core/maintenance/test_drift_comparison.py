from __future__ import annotations

import pytest

from coopr_core.maintenance.drift.comparison import paths_that_differ


@pytest.mark.parametrize(
    ("wanted", "found", "covered", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, (), ()),
        ({"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 2, "c": [1, 2]}}, (), ("a.b",)),
        ({"a": (1, 2)}, {"a": [1, 2]}, (), ()),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, ("b",), ("b",)),
        ({"a": {"b": 1}}, {"a": 5}, ("a.b",), ("a", "a.b")),
        ({"ab": 1}, {"ab": 2}, ("a",), ()),
        ({"a": 1}, None, (), ("a",)),
        ({"a": {}}, {}, (), ("a",)),
    ],
)
def test_trees_are_compared_within_what_is_covered(
    wanted: object, found: object, covered: tuple[str, ...], paths: tuple[str, ...]
) -> None:
    assert paths_that_differ(wanted, found, covered) == paths
