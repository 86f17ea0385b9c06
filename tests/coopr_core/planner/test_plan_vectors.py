"""The original's plans, and where ours differ from them: only by the rules D5, D6, D7 and D9."""

from __future__ import annotations

from collections import Counter
from typing import Any

import networkx as nx
import pytest
from planner_reference import graph_of, levels_of, pairwise
from shared_reference import SHARED, vectors

from coopr_core.catalog.entities import Service
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.planner import DependencyCycle, Plan, Task, plan

FILE = SHARED / "reference" / "vectors" / "plans.json"
CASES = [case["id"] for case in vectors("plans")["cases"]] if FILE.exists() else ["(no vectors)"]


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    return {case["id"]: case for case in vectors("plans")["cases"]}


def _layout(case: dict[str, Any]) -> ClusterLayout:
    services = {
        s["name"]: Service.model_validate(
            {
                "name": s["name"],
                "dependencies": s["dependencies"],
                "provisioner": {"actions": {action: {} for action in s["actions"]}},
            }
        )
        for s in case["input"]["services"]
    }
    nodes = tuple(Node(n["num"], services=tuple(n["services"])) for n in case["input"]["nodes"])
    return ClusterLayout(nodes=nodes, services=services)


def _stages(stages: list[list[list[Any]]]) -> list[set[Task]]:
    return [{Task(*task) for task in stage} for stage in stages]


def _right_by_itself(ours: Plan, on: ClusterLayout) -> bool:
    """Whether the plan orders exactly what the rules order, and its stages keep that order, one task per node."""
    rules = pairwise(ours.tasks, on.services)
    stage_of = {task: number for number, stage in enumerate(ours.stages) for task in stage}
    return (
        [set(level) for level in ours.levels] == levels_of(rules)
        and nx.transitive_closure(graph_of(ours)).edges == nx.transitive_closure(rules).edges
        and all(stage_of[before] < stage_of[task] for before, task in rules.edges)
        and all(max(Counter(task.node for task in stage).values()) == 1 for stage in ours.stages)
    )


@pytest.mark.parametrize("case_id", CASES)
def test_a_plan_is_the_originals_unless_a_numbered_rule_excuses_it(cases: dict[str, Any], case_id: str) -> None:
    case = cases[case_id]
    on = _layout(case)
    for asked in case["plans"]:
        request, expected = asked["request"], asked["expected"]
        where = f"{case_id} {request}"
        nodes = [int(number) for number in request["nodes"]] if request["nodes"] else None
        try:
            ours = plan(request["action"], on, services=request["services"], nodes=nodes)
        except DependencyCycle:
            assert "cyclic" in case_id, f"D5 excuses only cycles: {where}"
            continue
        if expected["status"] != "ok":
            assert len(ours) == 0, f"D9: an empty plan where the original fails: {where}"
            assert (ours.tasks, ours.stages) == ((), ())
            continue
        theirs = _stages(expected["stages"])
        edges = {(Task(*a), Task(*b)) for a, b in expected["edges"]} if "edges" in expected else None
        same = (
            [set(level) for level in ours.levels] == theirs
            and len(ours.stages) == expected["dedup_stages"]
            and (edges is None or set(graph_of(ours).edges) == edges)
        )
        if not same:
            rule = _excuse(ours, theirs, on)
            assert rule, f"no rule excuses the difference: {where}"
            assert _right_by_itself(ours, on), f"{rule} excuses it, but ours is wrong by itself: {where}"


def _excuse(ours: Plan, theirs: list[set[Task]], on: ClusterLayout) -> str:
    """The rule under which our plan differs from the original's, or nothing."""
    extra, missing = (
        set(ours.tasks).difference(*theirs),
        set().union(*theirs).difference(ours.tasks),
    )
    if missing and not extra:
        planned = {task.service for task in ours.tasks}
        unplanned = all(t.action == "START" and t.service not in planned for t in missing)
        return "D7" if unplanned and ours.operation in ("ADD_SERVICES", "RESTART_SERVICES") else ""
    initialize_only = {n for n, s in on.services.items() if "initialize" in s.actions and "start" not in s.actions}
    waits = any(Task(t.node, "INITIALIZE", t.service) in ours.tasks for t in ours.tasks if t.service in initialize_only)
    return "D6" if waits and not extra else ""


def test_the_public_single_node_hadoop_template_has_37_tasks_in_14_stages_37_once_split(cases: dict[str, Any]) -> None:
    on = _layout(cases["hadoop-singlenode/default/defaulttypes/1"]) if cases else None
    assert on is not None
    ours = plan("CLUSTER_CREATE", on)
    assert (len(ours.tasks), len(ours.levels), len(ours.stages)) == (37, 14, 37)
    order = [
        ours.tasks.index(Task(1000, action, name))
        for action, name in (
            ("INITIALIZE", "hadoop-hdfs-namenode"),
            ("START", "hadoop-hdfs-namenode"),
            ("START", "hadoop-hdfs-datanode"),
            ("INITIALIZE", "hadoop-yarn-resourcemanager"),
            ("START", "hadoop-yarn-resourcemanager"),
        )
    ]
    assert order == sorted(order)


def test_a_cyclic_catalog_is_refused_by_name_but_its_cluster_can_be_deleted(cases: dict[str, Any]) -> None:
    on = _layout(cases["rnd-844/cyclic"])
    with pytest.raises(DependencyCycle, match="Mq -> n0de -> Mq \\(install\\)"):
        plan("CLUSTER_CREATE", on)
    assert {task.action for task in plan("CLUSTER_DELETE", on).tasks} == {"DELETE"}
