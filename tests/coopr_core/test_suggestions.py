"""Near names are found by one rule, whatever is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import coopr_core
from coopr_core.suggestions import among, did_you_mean, near

SERVICES = ("nats-server", "node-tools", "webapp-app", "webapp-balancer", "spark-standalone-master")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("webap-app", ["webapp-app"]),
        ("WEBAPP-APP", ["webapp-app"]),
        ("nats", ["nats-server"]),
        ("master", ["spark-standalone-master"]),
        ("webapp", ["webapp-app", "webapp-balancer"]),
        ("na", []),
        ("mysql", []),
    ],
)
def test_near_names_are_spelt_alike_or_have_the_name_as_a_word(name: str, found: list[str]) -> None:
    assert near(name, SERVICES) == found


def test_letters_count_the_same_however_they_are_put_together() -> None:
    assert near("cafe\u0301", ["café", "cafeteria"]) == ["café"]


def test_what_was_meant_comes_before_what_there_is() -> None:
    assert among("nats", SERVICES[:2]) == 'did you mean "nats-server"? there is: nats-server, node-tools'
    assert among("mysql", [], "its services") == "its services: none"
    assert among("x", map(str, range(20))).endswith(", 18, 19 and 8 more")
    assert did_you_mean("crate", ["create"], form="{}") == "did you mean create?"


def test_there_is_no_second_rule() -> None:
    root = Path(coopr_core.__file__).parents[1]
    users = [
        path.relative_to(root).as_posix()
        for package in ("coopr_core", "coopr_cli", "flows", "blocks", "deployments")
        for path in (root / package).rglob("*.py")
        if "get_close_matches" in path.read_text()
    ]
    assert users == ["coopr_core/suggestions.py"]
