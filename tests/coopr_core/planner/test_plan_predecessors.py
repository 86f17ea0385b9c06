"""Some of what a task waits for: few enough to be drawn, and together as much as there is."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from planner_reference import ORIGINAL_OPERATIONS, layout, layouts, service

from coopr_core.errors import NotFound
from coopr_core.model.layout import ClusterLayout
from coopr_core.planner import Plan, Task, plan

DB = service("db")
APP = service("app", runtime=["db"])


def drawn(made: Plan, at_most: int = 4) -> dict[Task, tuple[Task, ...]]:
    return {task: made.predecessors(task, at_most) for task in made.tasks}


@examples(100)
@given(layouts(), st.sampled_from(ORIGINAL_OPERATIONS), st.integers(1, 6))
def test_they_are_some_of_what_a_task_waits_for_and_none_only_where_it_waits_for_nothing(
    on: ClusterLayout, operation: str, at_most: int
) -> None:
    made = plan(operation, on)
    for task, before in drawn(made, at_most).items():
        waits_for = made.dependencies(task)
        assert len(before) == len(set(before)) <= at_most
        assert set(before) <= set(waits_for)
        assert bool(before) == bool(waits_for)


def test_those_of_the_node_itself_come_first() -> None:
    made = plan("CLUSTER_CREATE", layout((DB, APP), ["db"], ["app"], ["app"]))
    assert made.predecessors(Task(1001, "CONFIRM"), 4) == (Task(1001, "CREATE"),)
    own, *others = made.predecessors(Task(1001, "START", "app"), 4)
    assert own.node == 1001
    assert others == [Task(1000, "START", "db")]


@pytest.mark.parametrize(("members", "waiting"), [(1, 40), (40, 40), (40, 20), (12, 4), (7, 5), (5, 7)])
def test_together_those_who_wait_for_the_same_show_all_of_it_evenly(members: int, waiting: int) -> None:
    made = plan("START_SERVICES", layout((DB, APP), *([["db"]] * members), *([["app"]] * waiting)))
    shown = [before for task in made.tasks if task.service == "app" for before in made.predecessors(task, 4)]
    assert set(shown) == {task for task in made.tasks if task.service == "db"}
    counts = [shown.count(task) for task in set(shown)]
    assert max(counts) <= -(-waiting // members) + 1


def test_one_that_waits_for_many_shows_some_from_first_to_last() -> None:
    made = plan("START_SERVICES", layout((DB, APP), *([["db"]] * 100), ["app"]))
    shown = made.predecessors(Task(1100, "START", "app"), 4)
    assert [task.node for task in shown] == [1000, 1025, 1050, 1075]


def test_a_task_that_is_not_in_the_plan_has_none() -> None:
    made = plan("START_SERVICES", layout((DB,), ["db"]))
    with pytest.raises(NotFound):
        made.predecessors(Task(1000, "STOP", "db"), 4)
