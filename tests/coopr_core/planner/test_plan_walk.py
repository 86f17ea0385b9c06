"""Walking a plan: what a schedule allows, resuming, giving up on a node; and that the cost stays linear."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import pytest
from growth import growth
from planner_reference import layout, service

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.layout import ClusterLayout
from coopr_core.planner import Task, Walker, plan

DB = service("db")
APP = service("app", runtime=["db"])
TWO = layout((DB, APP), ["db"], ["app"])
HADOOP = (
    service("base", ("install", "configure")),
    service("namenode", ("install", "configure", "initialize", "start"), install=["base"]),
    service("datanode", ("install", "configure", "start"), install=["base"], runtime=["namenode"]),
    service("resourcemanager", ("install", "configure", "initialize", "start"), install=["base"], runtime=["datanode"]),
    service("nodemanager", ("install", "configure", "start"), install=["base"], runtime=["resourcemanager"]),
)


def big(nodes: int) -> ClusterLayout:
    worker = ["base", "datanode", "nodemanager"]
    return layout(HADOOP, ["base", "namenode", "resourcemanager"], *([worker] * (nodes - 1)))


def finish(walker: Walker) -> list[Task]:
    walked = []
    while not walker.finished:
        for task in walker.ready():
            walker.complete(task)
            walked.append(task)
    return walked


def test_dataflow_lets_a_node_go_ahead_where_stages_make_it_wait() -> None:
    ours = plan("CLUSTER_CREATE", TWO)
    for schedule, ahead in (("stages", False), ("dataflow", True)):
        walker = ours.walk(schedule)  # type: ignore[arg-type]
        assert sorted(walker.ready()) == [Task(1000, "CREATE"), Task(1001, "CREATE")]
        walker.complete(Task(1000, "CREATE"))
        assert (walker.ready() == [Task(1000, "CONFIRM")]) is ahead


def test_no_services_task_starts_before_every_machine_of_the_plan_is_confirmed() -> None:
    walker = plan("CLUSTER_CREATE", TWO).walk("dataflow")
    walker.ready()
    for action in ("CREATE", "CONFIRM", "BOOTSTRAP"):
        walker.complete(Task(1000, action))
        ready = walker.ready()
    assert ready == [], "its configuration may name the address of node 1001"
    walker.complete(Task(1001, "CREATE"))
    walker.ready()
    walker.complete(Task(1001, "CONFIRM"))
    assert Task(1000, "INSTALL", "db") in walker.ready()


def test_a_node_takes_the_task_with_the_longest_way_to_the_end_first() -> None:
    on = layout(
        (service("aaa", ("start",)), service("zzz", ("start",)), service("top", ("start",), runtime=["zzz"])),
        ["aaa", "zzz"],
        ["top"],
    )
    walker = plan("START_SERVICES", on).walk("dataflow")
    assert walker.ready() == [Task(1000, "START", "zzz")]


def test_a_task_is_completed_once_and_only_when_handed_out() -> None:
    walker = plan("CLUSTER_CREATE", TWO).walk()
    with pytest.raises(InvalidInput, match="CREATE @ 1000 is not running"):
        walker.complete(Task(1000, "CREATE"))
    walker.ready()
    walker.complete(Task(1000, "CREATE"))
    with pytest.raises(InvalidInput):
        walker.complete(Task(1000, "CREATE"))


def test_a_schedule_or_a_done_task_that_does_not_exist_is_refused() -> None:
    ours = plan("CLUSTER_CREATE", TWO)
    with pytest.raises(InvalidInput, match="unknown schedule 'random'"):
        ours.walk("random")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        ours.walk(done=[Task(1, "CREATE")])


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
def test_giving_up_on_a_node_lets_the_others_finish_without_it(schedule: str) -> None:
    ours = plan("CLUSTER_CREATE", big(4))
    walker = ours.walk(schedule)  # type: ignore[arg-type]
    first = walker.ready()
    for task in first:
        if task.node != 1002:
            walker.complete(task)
    given_up = walker.abandon(1002)
    assert set(given_up) == {task for task in ours.tasks if task.node == 1002}
    walked = finish(walker)
    assert not [task for task in walked if task.node == 1002]
    assert {task.node for task in walked} == {1000, 1001, 1003}
    assert Task(1000, "START", "resourcemanager") in walked, "what waited for the node's datanode goes on"


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
def test_a_node_can_be_given_up_in_the_middle_of_its_services(schedule: str) -> None:
    ours = plan("CLUSTER_CREATE", big(4))
    walker = ours.walk(schedule)  # type: ignore[arg-type]
    walked: list[Task] = []
    given_up: tuple[Task, ...] = ()
    while not walker.finished:
        for task in walker.ready():
            if task == Task(1003, "INSTALL", "datanode"):
                given_up = walker.abandon(1003)
            else:
                walker.complete(task)
                walked.append(task)
    assert Task(1003, "INSTALL", "datanode") in given_up
    assert sorted([*walked, *given_up]) == sorted(ours.tasks)


def test_planning_costs_in_proportion_to_the_nodes() -> None:
    def planning(nodes: int) -> Callable[[], object]:
        on = big(nodes)

        def complete() -> None:
            ours = plan("CLUSTER_CREATE", on)
            assert len(ours.tasks) == 11 * (nodes - 1) + 13
            assert len(ours.stages) < 40

        return complete

    assert growth(planning, 500, 8000) < 64, "a pairwise graph would cost 256 times as much"


@pytest.mark.parametrize("schedule", ["stages", "dataflow"])
def test_walking_costs_the_same_for_every_task_however_many_there_are(schedule: str) -> None:
    def walking(nodes: int) -> Callable[[], object]:
        ours = plan("CLUSTER_CREATE", big(nodes))
        assert len(finish(ours.walk(schedule))) == len(ours)  # type: ignore[arg-type]
        return lambda: finish(ours.walk(schedule))  # type: ignore[arg-type]

    assert growth(walking, 500, 8000) < 64, "a pairwise graph would cost 256 times as much"


def test_the_folded_graph_does_not_grow_with_the_nodes() -> None:
    small, large = plan("CLUSTER_CREATE", big(10)).graph, plan("CLUSTER_CREATE", big(1000)).graph
    assert (len(small.steps), len(small.joins)) == (len(large.steps), len(large.joins))


def test_the_task_graph_is_networkx_whatever_the_number_of_nodes() -> None:
    many = layout((DB, APP), ["db"], *[["app"]] * 200)
    small, large = (plan("CLUSTER_CREATE", each).graph for each in (TWO, many))
    assert isinstance(large.dag, nx.DiGraph)
    assert nx.is_directed_acyclic_graph(large.dag)
    assert len(large.dag) == len(large.steps) + len(large.joins) == len(small.dag)
    create = next(number for number, step in enumerate(large.steps) if step.action == "CREATE")
    after = {large.steps[n].type for n in nx.descendants(large.dag, create) if n < len(large.steps)}
    assert "CREATE" not in after
    assert {"CONFIRM", "BOOTSTRAP"} < after
