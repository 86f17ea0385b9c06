"""What holds for every plan, checked on thousands of small random clusters against the rules written pair by pair."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter

import networkx as nx
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from planner_reference import (
    ORIGINAL_OPERATIONS,
    depends_on,
    expected_tasks,
    graph_of,
    layout,
    layouts,
    levels_of,
    pairwise,
)

from coopr_core.model.layout import ClusterLayout
from coopr_core.planner import Plan, Task, plan
from coopr_core.planner.walk import Schedule

operations = st.sampled_from(ORIGINAL_OPERATIONS)
many = examples(300)


def _reach(on: ClusterLayout, names: set[str], *, dependants: bool) -> set[str]:
    graph = nx.DiGraph()
    placed = {n: on.services[n] for node in on.nodes for n in node.services}
    graph.add_nodes_from(placed)
    graph.add_edges_from((a, b) for a in placed for b in depends_on(placed, a, "runtime"))
    step = nx.ancestors if dependants else nx.descendants
    return names.union(*(step(graph, name) for name in names)) if names else set()


@many
@given(layouts(), operations, st.data())
def test_tasks_levels_and_order_are_what_the_rules_say(on: ClusterLayout, operation: str, data: st.DataObject) -> None:
    placed = sorted({name for node in on.nodes for name in node.services})
    chosen = data.draw(st.none() | st.sets(st.sampled_from(placed))) if placed else None
    ours = plan(operation, on, services=chosen)
    planned = chosen
    if chosen is not None and operation == "START_SERVICES":
        planned = _reach(on, chosen, dependants=False)
    if chosen is not None and operation in ("STOP_SERVICES", "RESTART_SERVICES"):
        planned = _reach(on, chosen, dependants=True)
    assert set(ours.tasks) == expected_tasks(operation, on, planned)
    assert len(ours) == len(ours.tasks) == len(set(ours.tasks))
    rules = pairwise(ours.tasks, {name: on.services[name] for name in placed})
    assert [set(level) for level in ours.levels] == levels_of(rules)
    assert nx.transitive_closure(graph_of(ours)).edges == nx.transitive_closure(rules).edges


@many
@given(layouts(), operations)
def test_a_stage_has_one_task_of_a_node_and_needs_only_stages_before_it(on: ClusterLayout, operation: str) -> None:
    ours = plan(operation, on)
    stage_of = {task: number for number, stage in enumerate(ours.stages) for task in stage}
    assert tuple(task for stage in ours.stages for task in stage) == ours.tasks
    for stage in ours.stages:
        assert max(Counter(task.node for task in stage).values()) == 1
    for task in ours.tasks:
        assert all(stage_of[before] < stage_of[task] for before in ours.dependencies(task))
    split = sum(max(Counter(task.node for task in level).values()) for level in ours.levels)
    assert len(ours.stages) == split, "no stage more than the fullest node of each level needs"


def _run(ours: Plan, schedule: Schedule, luck: random.Random, done: frozenset[Task], stop_after: int) -> list[Task]:
    """Walk, completing running tasks in random order, and check at every step that nothing starts too early."""
    walker = ours.walk(schedule, done)
    stage_of = {task: number for number, stage in enumerate(ours.stages) for task in stage}
    complete, handed, completed = set(done), set(done), []
    running: list[Task] = []
    while not walker.finished and len(completed) < stop_after:
        for task in walker.ready():
            assert task not in handed, "handed out once"
            assert task.node not in {other.node for other in running}, "one task per node at a time"
            assert complete.issuperset(ours.dependencies(task))
            if schedule == "stages":
                assert all(other in complete for other in ours.tasks if stage_of[other] < stage_of[task])
            elif task.service:
                assert all(other in complete for other in ours.tasks if other.action == "CONFIRM")
            handed.add(task)
            running.append(task)
        assert walker.running == frozenset(running)
        assert running, "a walk never gets stuck"
        task = running.pop(luck.randrange(len(running)))
        walker.complete(task)
        complete.add(task)
        completed.append(task)
        assert walker.remaining == len(ours) - len(complete)
    return completed


@many
@given(layouts(), operations, st.sampled_from(["stages", "dataflow"]), st.randoms(use_true_random=False))
def test_a_walk_hands_out_every_task_once_after_what_it_needs_and_resumes_where_it_was(
    on: ClusterLayout, operation: str, schedule: Schedule, luck: random.Random
) -> None:
    ours = plan(operation, on)
    first = _run(ours, schedule, luck, frozenset(), luck.randint(0, len(ours)))
    rest = _run(ours, schedule, luck, frozenset(first), len(ours) + 1)
    assert sorted([*first, *rest]) == sorted(ours.tasks)


@many
@given(layouts(), operations)
def test_a_plan_survives_being_saved(on: ClusterLayout, operation: str) -> None:
    ours = plan(operation, on)
    again = Plan.from_json(json.loads(json.dumps(ours.to_json())))
    assert again == ours
    assert (again.stages, again.levels) == (ours.stages, ours.levels)


@many
@given(layouts(), operations, st.data())
def test_the_critical_path_is_a_heaviest_chain_of_dependencies(
    on: ClusterLayout, operation: str, data: st.DataObject
) -> None:
    ours = plan(operation, on)
    types = sorted({(task.service, task.action) for task in ours.tasks})
    durations = {key: data.draw(st.integers(0, 9)) for key in types}
    path = ours.critical_path(durations)
    assert all(before in ours.dependencies(task) for before, task in itertools.pairwise(path))
    ends: dict[Task, int] = {}
    for task in ours.tasks:
        before = max((ends[other] for other in ours.dependencies(task)), default=0)
        ends[task] = before + durations[task.service, task.action]
    assert sum(durations[task.service, task.action] for task in path) == max(ends.values(), default=0)


@many
@given(layouts(), st.data(), st.booleans())
def test_a_change_touches_only_what_differs_and_can_always_be_ordered(
    now: ClusterLayout, data: st.DataObject, restart: bool
) -> None:
    names = sorted(now.services)
    sets = st.sets(st.sampled_from(names))
    kept = [node for node in now.nodes if data.draw(st.booleans())]
    nodes = tuple(
        type(node)(node.number, services=tuple(sorted({*node.services, *(data.draw(sets))}))) for node in kept
    )
    fresh = layout((), *data.draw(st.lists(sets, max_size=2))).nodes
    nodes += tuple(type(node)(node.number + 100, services=node.services) for node in fresh)
    then = ClusterLayout(nodes=nodes, services=now.services)
    changed = {node.number: data.draw(sets) & set(node.services) for node in nodes}
    ours = plan("SCALE_OUT", then, current=now, changed=changed, restart=restart)
    before = {node.number: set(node.services) for node in now.nodes}
    after = {node.number: set(node.services) for node in then.nodes}
    for task in ours.tasks:
        if task.node not in after:
            assert task.action in ("STOP", "REMOVE", "DELETE")
        elif task.node in before and task.service:
            assert task.service in changed[task.node] or task.service not in before[task.node]
        elif task.node in before:
            assert task.action == "BOOTSTRAP"
    assert {t.node for t in ours.tasks if t.action == "CREATE"} == set(after) - set(before)
    assert {t.node for t in ours.tasks if t.action == "DELETE"} == set(before) - set(after)
    stage_of = {task: number for number, stage in enumerate(ours.stages) for task in stage}
    leaving = [stage_of[task] for task in ours.tasks if task.node not in after]
    staying = [stage_of[task] for task in ours.tasks if task.node in after]
    assert not leaving or not staying or min(leaving) > max(staying)
    for schedule in ("stages", "dataflow"):
        _run(ours, schedule, random.Random(0), frozenset(), len(ours) + 1)


@many
@given(layouts(), st.data(), st.booleans())
def test_replacing_nodes_makes_them_again_and_can_always_be_ordered(
    on: ClusterLayout, data: st.DataObject, restart: bool
) -> None:
    replaced = data.draw(st.sets(st.sampled_from([node.number for node in on.nodes])))
    changed = {n.number: data.draw(st.sets(st.sampled_from(n.services))) for n in on.nodes if n.services}
    ours = plan("REPLACE_NODES", on, nodes=replaced, changed=changed, restart=restart)
    made_again = set(plan("CLUSTER_CREATE", on, nodes=replaced).tasks) | {Task(n, "DELETE") for n in replaced}
    assert {task for task in ours.tasks if task.node in replaced} == made_again
    assert all(
        task.action == "BOOTSTRAP" or task.service in changed[task.node]
        for task in ours.tasks
        if task not in made_again
    )
    for schedule in ("stages", "dataflow"):
        _run(ours, schedule, random.Random(0), frozenset(), len(ours) + 1)
