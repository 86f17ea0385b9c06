"""Rolling operations: batch after batch, each behind the health of the one before."""

from __future__ import annotations

import pytest

from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.planner import Plan, roll


def service(name: str, *actions: str, requires: tuple[str, ...] = ()) -> Service:
    return Service.model_validate(
        {
            "name": name,
            "dependencies": {"runtime": {"requires": requires}},
            "provisioner": {"actions": {action: {"fields": {"command": "true"}} for action in actions}},
        }
    )


SERVICES = {
    "app": service("app", "start", "stop", "health", requires=("db",)),
    "db": service("db", "start", "stop"),
    "files": service("files", "install"),
    "front": service("front", "start", "stop", "health", requires=("app",)),
}


def layout(*nodes: tuple[str, ...]) -> ClusterLayout:
    return ClusterLayout(
        nodes=tuple(Node(number, services=names) for number, names in enumerate(nodes, 1000)), services=SERVICES
    )


def texts(plan: Plan) -> list[list[str]]:
    return [[str(task) for task in stage] for stage in plan.stages]


def test_each_batch_stops_starts_and_is_checked_before_the_next_begins() -> None:
    plan = roll("RESTART_SERVICES", layout(*[("app", "files")] * 3, ("db",)), ["app"], batch=2)
    assert texts(plan) == [
        ["STOP app @ 1000", "STOP app @ 1001"],
        ["START app @ 1000", "START app @ 1001"],
        ["HEALTH app @ 1000", "HEALTH app @ 1001"],
        ["STOP app @ 1002"],
        ["START app @ 1002"],
        ["HEALTH app @ 1002"],
    ]


def test_what_depends_on_a_rolling_service_keeps_running() -> None:
    plan = roll("RESTART_SERVICES", layout(("db",), ("app",), ("front",)), ["db"])
    assert {task.service for task in plan.tasks} == {"db"}


def test_a_service_without_a_health_action_counts_as_well_when_it_has_started() -> None:
    plan = roll("START_SERVICES", layout(("db",), ("db",)), ["db"])
    assert texts(plan) == [["START db @ 1000"], ["START db @ 1001"]]


def test_stopping_checks_nothing() -> None:
    assert texts(roll("STOP_SERVICES", layout(("app",), ("app",)))) == [["STOP app @ 1000"], ["STOP app @ 1001"]]


def test_inside_a_batch_the_order_of_dependencies_holds() -> None:
    plan = roll("RESTART_SERVICES", layout(("app", "db"), ("front",)), batch=2)
    tasks = [str(task) for task in plan.tasks]
    wanted = ["STOP front @ 1001", "STOP app @ 1000", "STOP db @ 1000", "START db @ 1000", "START app @ 1000"]
    assert [task for task in tasks if task in wanted] == wanted
    assert tasks.index("START front @ 1001") > tasks.index("START app @ 1000")


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_at_most_a_batch_of_nodes_is_worked_on_at_any_time_in_either_schedule(schedule: str, batch: int) -> None:
    plan = roll("RESTART_SERVICES", layout(*[("app", "db"), ("app",), ("db",)] * 4), batch=batch)
    numbers = sorted(plan.nodes)
    batches = [set(numbers[first : first + batch]) for first in range(0, len(numbers), batch)]
    walker = plan.walk(schedule=schedule)  # type: ignore[arg-type]
    seen: list[int] = []
    waiting = walker.ready()
    while waiting:
        seen.append(next(place for place, nodes in enumerate(batches) if {task.node for task in waiting} <= nodes))
        walker.complete(waiting.pop())
        waiting += walker.ready()
    assert walker.finished
    assert seen == sorted(seen)


def test_a_batch_that_failed_keeps_the_later_ones_from_starting() -> None:
    plan = roll("RESTART_SERVICES", layout(("app",), ("app",)), ["app"])
    walker = plan.walk()
    for _ in range(2):
        walker.complete(walker.ready()[0])
    assert [str(task) for task in walker.ready()] == ["HEALTH app @ 1000"]
    assert walker.ready() == []


def test_a_rolling_plan_is_saved_and_read_back() -> None:
    plan = roll("RESTART_SERVICES", layout(*[("app", "db")] * 3))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("operation", "services", "batch", "said"),
    [
        ("CLUSTER_DELETE", None, 1, "cannot be rolling"),
        ("STOP_SERVICES", ["nothing"], 1, "no service nothing"),
        ("STOP_SERVICES", None, 0, "at least one node"),
    ],
)
def test_what_cannot_be_rolled_is_refused(operation: str, services: list[str] | None, batch: int, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        roll(operation, layout(("app",)), services, batch)
