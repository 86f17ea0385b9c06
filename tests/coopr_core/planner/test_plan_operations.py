"""What each operation asks of nodes, told on one small cluster: a balancer uses apps, apps use a database."""

from __future__ import annotations

import pytest
from planner_reference import layout, service

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.planner import DependencyCycle, Plan, Task, plan

LIFE = ("install", "configure", "initialize", "start", "stop", "remove")
DB = service("db", LIFE)
APP = service("app", ("install", "configure", "start", "stop", "remove"), runtime=["db"])
LB = service("lb", ("install", "configure", "start", "stop"), runtime=["app"])
SERVICES = (DB, APP, LB)
NOW = layout(SERVICES, ["db"], ["app"], ["app"], ["lb"])


def _with(*nodes: tuple[int, tuple[str, ...]]) -> ClusterLayout:
    return ClusterLayout(
        nodes=tuple(Node(number, services=names) for number, names in nodes), services={s.name: s for s in SERVICES}
    )


def _on(ours: Plan, node: int) -> list[str]:
    return [f"{task.action} {task.service}".strip() for task in ours.tasks if task.node == node]


def _stage(ours: Plan, *task: object) -> int:
    return next(number for number, stage in enumerate(ours.stages) if Task(*task) in stage)  # type: ignore[arg-type]


def test_every_node_is_created_confirmed_bootstrapped_and_deleted_also_one_without_services() -> None:
    bare = layout(SERVICES, ["db"], [])
    assert _on(plan("CLUSTER_CREATE", bare), 1001) == ["CREATE", "CONFIRM", "BOOTSTRAP"]
    assert _on(plan("CLUSTER_DELETE", bare), 1001) == ["DELETE"]


def test_deleting_is_one_task_per_node_because_services_end_with_their_machine() -> None:
    ours = plan("CLUSTER_DELETE", NOW)
    assert [str(task) for task in ours.tasks] == [f"DELETE @ {number}" for number in (1000, 1001, 1002, 1003)]
    assert len(ours.stages) == 1


def test_one_node_can_be_deleted_alone() -> None:
    assert plan("CLUSTER_DELETE", NOW, nodes=[1002]).tasks == (Task(1002, "DELETE"),)


def test_starting_one_service_starts_what_it_needs_first() -> None:
    ours = plan("START_SERVICES", NOW, services=["app"])
    assert [task.service for task in ours.tasks] == ["db", "app", "app"]
    assert ours.dependencies(Task(1001, "START", "app")) == (Task(1000, "START", "db"),)


def test_stopping_one_service_stops_what_depends_on_it_first() -> None:
    ours = plan("STOP_SERVICES", NOW, services=["app"])
    assert [task.service for task in ours.tasks] == ["lb", "app", "app"]


def test_restarting_stops_from_the_top_and_starts_from_the_bottom() -> None:
    ours = plan("RESTART_SERVICES", NOW, services=["db"])
    assert [f"{task.action} {task.service}" for stage in ours.stages for task in stage[:1]] == [
        "STOP lb",
        "STOP app",
        "STOP db",
        "START db",
        "START app",
        "START lb",
    ]


def test_a_batch_of_a_rolling_restart_touches_only_its_nodes() -> None:
    ours = plan("RESTART_SERVICES", NOW, services=["app"], nodes=[1001])
    assert [str(task) for task in ours.tasks] == ["STOP app @ 1001", "START app @ 1001"]


def test_a_service_without_the_action_is_passed_through() -> None:
    silent = service("app", ("install", "configure"), runtime=["db"])
    ours = plan("START_SERVICES", layout((DB, silent, LB), ["db"], ["app"], ["lb"]))
    assert ours.dependencies(Task(1002, "START", "lb")) == (Task(1000, "START", "db"),)


def test_up_means_initialized_when_the_dependency_has_no_start() -> None:
    schema = service("schema", ("initialize",), runtime=["db"])
    app = service("app", ("initialize", "start"), runtime=["schema"])
    ours = plan("CLUSTER_CREATE", layout((DB, schema, app), ["db", "schema"], ["app"]))
    assert Task(1000, "INITIALIZE", "schema") in ours.dependencies(Task(1001, "INITIALIZE", "app"))
    assert Task(1000, "INITIALIZE", "schema") in ours.dependencies(Task(1001, "START", "app"))
    again = plan("START_SERVICES", layout((DB, schema, app), ["db", "schema"], ["app"]))
    assert again.dependencies(Task(1001, "START", "app")) == (Task(1000, "START", "db"),)


def test_a_provided_name_stands_for_every_service_that_provides_it() -> None:
    mysql = service("mysql", provides=["database"])
    postgres = service("postgres", provides=["database"])
    app = service("app", runtime=["database"])
    ours = plan("START_SERVICES", layout((mysql, postgres, app), ["mysql"], ["postgres"], ["app"]))
    assert ours.dependencies(Task(1002, "START", "app")) == (
        Task(1000, "START", "mysql"),
        Task(1001, "START", "postgres"),
    )


def test_uses_orders_when_the_other_is_there_and_is_ignored_when_not() -> None:
    app = service("app", uses=["db", "absent"])
    assert len(plan("START_SERVICES", layout((DB, app), ["db"], ["app"])).stages) == 2
    assert len(plan("START_SERVICES", layout((app,), ["app"])).stages) == 1


@pytest.mark.parametrize(
    ("services", "named"),
    [
        ((service("a", runtime=["b"]), service("b", runtime=["c"]), service("c", runtime=["a"])), "a -> b -> c -> a"),
        ((service("a", runtime=["a"]),), "a -> a"),
        ((service("a", runtime=["p"], provides=["p"]),), "a -> a"),
        ((service("a", install=["b"]), service("b", install=["a"])), "a -> b -> a \\(install\\)"),
    ],
)
def test_a_dependency_cycle_is_refused_and_named(services: tuple[object, ...], named: str) -> None:
    on = layout(services, [s.name for s in services])  # type: ignore[arg-type, attr-defined]
    with pytest.raises(DependencyCycle, match=named) as refused:
        plan("CLUSTER_CREATE", on)
    assert refused.value.exit_code == 3
    assert refused.value.problems[0].path.startswith("services.a.dependencies.")
    assert plan("CLUSTER_DELETE", on).tasks, "a cluster can always be deleted"


def test_a_plan_without_tasks_is_a_success_that_has_nothing_to_do() -> None:
    ours = plan("START_SERVICES", layout((service("quiet", ("install",)),), ["quiet"]))
    assert (len(ours), ours.tasks, ours.stages, ours.levels, ours.critical_path()) == (0, (), (), (), ())
    assert ours.walk().finished
    assert ours.walk("dataflow").ready() == []


def test_adding_services_touches_only_the_nodes_that_gain_them() -> None:
    before = layout(SERVICES, ["db"], ["app"], [])
    after = _with((1000, ("db",)), (1001, ("app", "lb")), (1002, ()))
    ours = plan("ADD_SERVICES", after, current=before)
    assert [str(task) for task in ours.tasks] == [
        "BOOTSTRAP @ 1001",
        "INSTALL lb @ 1001",
        "CONFIGURE lb @ 1001",
        "START lb @ 1001",
    ]


def test_scaling_out_creates_new_nodes_and_leaves_the_others_alone() -> None:
    after = ClusterLayout((*NOW.nodes, Node(1004, services=("app",))), NOW.services)
    ours = plan("SCALE_OUT", after, current=NOW)
    assert _on(ours, 1004) == ["CREATE", "CONFIRM", "BOOTSTRAP", "INSTALL app", "CONFIGURE app", "START app"]
    assert ours.nodes == (1004,)


def test_what_adapts_restarts_when_the_new_node_is_prepared_and_waits_for_what_it_needs_there() -> None:
    after = ClusterLayout((*NOW.nodes, Node(1004, services=("app",))), NOW.services)
    ours = plan("SCALE_OUT", after, current=NOW, changed={1003: ["lb"]})
    assert ours.nodes == (1003, 1004)
    assert _on(ours, 1003) == ["BOOTSTRAP", "STOP lb", "CONFIGURE lb", "START lb"]
    assert Task(1004, "CONFIGURE", "app") in ours.dependencies(Task(1003, "STOP", "lb"))
    assert Task(1004, "START", "app") in ours.dependencies(Task(1003, "START", "lb"))


def test_what_adapts_without_a_restart_does_so_when_the_new_services_are_up() -> None:
    after = ClusterLayout((*NOW.nodes, Node(1004, services=("app",))), NOW.services)
    ours = plan("SCALE_OUT", after, current=NOW, changed={1003: ["lb"]}, restart=False)
    assert _on(ours, 1003) == ["BOOTSTRAP", "CONFIGURE lb"]
    assert Task(1004, "START", "app") in ours.dependencies(Task(1003, "CONFIGURE", "lb"))


def test_scaling_in_stops_removes_and_deletes_the_leaving_nodes_once_the_others_have_adapted() -> None:
    after = ClusterLayout(tuple(node for node in NOW.nodes if node.number != 1002), NOW.services)
    alone = plan("SCALE_IN", after, current=NOW)
    assert [str(task) for task in alone.tasks] == ["STOP app @ 1002", "REMOVE app @ 1002", "DELETE @ 1002"]
    ours = plan("SCALE_IN", after, current=NOW, changed={1003: ["lb"]})
    assert _stage(ours, 1002, "STOP", "app") > _stage(ours, 1003, "START", "lb")


def test_a_service_taken_off_a_node_that_stays_is_stopped_and_removed() -> None:
    ours = plan("SCALE_IN", _with((1000, ("db",))), current=_with((1000, ("app", "db"))))
    assert [str(task) for task in ours.tasks] == ["STOP app @ 1000", "REMOVE app @ 1000"]


def test_replacing_a_node_deletes_it_and_makes_it_again_under_its_number() -> None:
    ours = plan("REPLACE_NODES", NOW, nodes=[1001], changed={1003: ["lb"]})
    assert _on(ours, 1001) == [
        "DELETE",
        "CREATE",
        "CONFIRM",
        "BOOTSTRAP",
        "INSTALL app",
        "CONFIGURE app",
        "START app",
    ]
    assert ours.nodes == (1001, 1003)
    assert _stage(ours, 1003, "CONFIGURE", "lb") > _stage(ours, 1001, "CONFIRM")


def test_configuring_can_be_narrowed_to_what_changes_on_each_node() -> None:
    ours = plan("CLUSTER_CONFIGURE", NOW, changed={1001: ["app"]})
    assert [str(task) for task in ours.tasks] == ["BOOTSTRAP @ 1001", "CONFIGURE app @ 1001"]
    assert len(plan("CLUSTER_CONFIGURE", NOW, changed={})) == 0
    assert len(plan("CLUSTER_CONFIGURE", NOW)) == 8


def test_a_service_that_adapts_beside_an_added_one_shares_the_nodes_bootstrap() -> None:
    before = _with((1000, ("db",)), (1001, ("lb",)))
    after = _with((1000, ("db",)), (1001, ("app", "lb")))
    for ours in (
        plan("ADD_SERVICES", after, current=before, changed={1001: ["lb"]}),
        plan("ADD_SERVICES", after, ["app"], [1001], changed={1001: ["lb"]}),
        plan("ADD_SERVICES", after, ["app"], changed={1001: ["lb"]}),
    ):
        assert sorted(_on(ours, 1001)) == sorted(
            ["BOOTSTRAP", "INSTALL app", "CONFIGURE app", "START app", "STOP lb", "CONFIGURE lb", "START lb"]
        )
        assert _stage(ours, 1001, "STOP", "lb") > _stage(ours, 1001, "CONFIGURE", "app")
        assert ours.nodes == (1001,)


def test_nodes_narrow_a_change_down_to_some_of_the_new_and_leaving_nodes() -> None:
    after = _with((1000, ("db",)), (1001, ("app",)), (1003, ("lb",)), (1004, ("app",)), (1005, ("app",)))
    assert plan("SCALE_OUT", after, nodes=[1004], current=NOW).nodes == (1004,)
    assert plan("SCALE_IN", after, nodes=[1002], current=NOW).nodes == (1002,)
    assert plan("SCALE_OUT", after, nodes=[1004], current=NOW, changed={1003: ["lb"]}).nodes == (1003, 1004)


def test_a_plan_counts_the_nodes_it_adds_changes_and_destroys() -> None:
    after = _with((1000, ("db",)), (1001, ("app",)), (1003, ("lb",)), (1004, ("app",)), (1005, ("app",)))
    assert plan("SCALE_OUT", after, current=NOW, changed={1003: ["lb"]}).changes == (2, 1, 1)
    assert plan("REPLACE_NODES", NOW, nodes=[1001]).changes == (1, 0, 1)
    assert plan("CLUSTER_DELETE", NOW).changes == (0, 0, 4)
    assert plan("START_SERVICES", NOW, services=[]).changes == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "CLUSTER_EXPLODE"}, "unknown operation 'CLUSTER_EXPLODE'"),
        ({"operation": "START_SERVICES", "services": ["nope"]}, "no service nope on the cluster"),
        ({"operation": "START_SERVICES", "nodes": [7]}, "no node 7 on the cluster"),
        ({"operation": "CLUSTER_CONFIGURE", "changed": {1000: ["lb"]}}, "no service lb on node 1000"),
        ({"operation": "CLUSTER_CONFIGURE", "changed": {7: ["lb"]}}, "no node 7"),
        ({"operation": "STOP_SERVICES", "changed": {1003: ["lb"]}}, "STOP_SERVICES changes no configuration"),
        ({"operation": "SCALE_OUT"}, "SCALE_OUT needs the layout as it is now"),
        ({"operation": "REPLACE_NODES"}, "REPLACE_NODES needs the nodes to replace"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_reason(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        plan(layout=NOW, **arguments)  # type: ignore[arg-type]
    assert refused.value.hint


def test_a_service_that_is_placed_but_not_defined_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'ghost'"):
        plan("CLUSTER_CREATE", ClusterLayout((Node(1000, services=("ghost",)),)))


def test_a_task_that_is_not_in_the_plan_is_not_found() -> None:
    with pytest.raises(NotFound, match="no task START nope @ 1000"):
        plan("CLUSTER_CREATE", NOW).dependencies(Task(1000, "START", "nope"))


def test_what_reloads_takes_its_new_configuration_without_a_restart_beside_what_restarts() -> None:
    after = ClusterLayout((*NOW.nodes, Node(1004, services=("app",))), NOW.services)
    changed = {1001: ["app"], 1003: ["lb"]}
    ours = plan("SCALE_OUT", after, current=NOW, changed=changed, reloads={1003: ["lb"]})
    assert _on(ours, 1001) == ["BOOTSTRAP", "STOP app", "CONFIGURE app", "START app"]
    assert _on(ours, 1003) == ["BOOTSTRAP", "CONFIGURE lb"]
    assert Task(1004, "START", "app") in ours.dependencies(Task(1003, "CONFIGURE", "lb"))
    configured = plan("CLUSTER_CONFIGURE_WITH_RESTART", NOW, changed=changed, reloads={1003: ["lb"]})
    assert _on(configured, 1003) == ["BOOTSTRAP", "CONFIGURE lb"]
    assert _on(configured, 1001) == ["BOOTSTRAP", "STOP app", "CONFIGURE app", "START app"]


def test_what_others_were_installed_upon_is_removed_after_them() -> None:
    tools = service("tools", ("install", "remove"))
    server = service("server", ("install", "start", "stop", "remove"), install=["tools"])
    before = layout((tools, server), ["tools", "server"], ["tools", "server"])
    after = ClusterLayout(before.nodes[:1], before.services)
    ours = plan("SCALE_IN", after, current=before)
    assert _on(ours, 1001) == ["STOP server", "REMOVE server", "REMOVE tools", "DELETE"]
