"""The critical path and how long a plan takes."""

from __future__ import annotations

import pytest
from planner_reference import layout, service

from coopr_core.errors import InvalidInput
from coopr_core.planner import Task, plan

START = ("start",)
THREE = layout((service("a", START), service("b", START, runtime=["a"]), service("c", START)), ["a", "c"], ["b"], ["b"])
SECONDS = {("a", "START"): 10.0, ("b", "START"): 20.0, ("c", "START"): 25.0}


def test_without_durations_the_critical_path_has_the_most_tasks() -> None:
    assert plan("START_SERVICES", THREE).critical_path() == (Task(1000, "START", "a"), Task(1001, "START", "b"))


def test_with_durations_the_critical_path_takes_the_most_seconds() -> None:
    ours = plan("START_SERVICES", THREE)
    assert ours.critical_path(SECONDS) == (Task(1000, "START", "a"), Task(1001, "START", "b"))
    assert ours.critical_path({**SECONDS, ("c", "START"): 31.0}) == (Task(1000, "START", "c"),)


def test_an_estimate_keeps_one_task_per_node_and_the_order() -> None:
    ours = plan("START_SERVICES", THREE)
    assert ours.estimate(SECONDS, schedule="dataflow").seconds == 35.0, "a, then b beside c"
    assert ours.estimate(SECONDS, schedule="stages").seconds == 55.0, "a, c, b: each stage waits for the one before"
    assert ours.estimate(SECONDS).work == 75.0


def test_an_estimate_runs_no_more_at_a_time_than_the_concurrency() -> None:
    ours = plan("START_SERVICES", THREE)
    assert ours.estimate(SECONDS, concurrency=1).seconds == 75.0
    with pytest.raises(InvalidInput, match="concurrency of 0"):
        ours.estimate(SECONDS, concurrency=0)


def test_what_no_past_run_tells_is_listed_and_counts_as_the_mean_of_the_action() -> None:
    found = plan("START_SERVICES", THREE).estimate({("a", "START"): 10.0, ("b", "START"): 20.0})
    assert found.unknown == (("c", "START"),)
    assert found.work == 10 + 15 + 20 + 20
    assert plan("START_SERVICES", THREE).estimate({}).seconds == 0.0
