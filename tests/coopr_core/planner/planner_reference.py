"""The rules of planning written down a second time, pair by pair and without any thrift, to compare plans with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import networkx as nx
from hypothesis import strategies as st

from coopr_core.catalog.entities import Dependencies, Provisioner, Requirements, Service, ServiceAction
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.operations import COURSES
from coopr_core.planner import Plan, Task

MACHINE = ("CREATE", "CONFIRM", "BOOTSTRAP", "DELETE")
ORIGINAL_OPERATIONS = (
    "CLUSTER_CREATE",
    "CLUSTER_DELETE",
    "ADD_SERVICES",
    "CLUSTER_CONFIGURE",
    "CLUSTER_CONFIGURE_WITH_RESTART",
    "STOP_SERVICES",
    "START_SERVICES",
    "RESTART_SERVICES",
)


def service(
    name: str,
    actions: Iterable[str] = ("install", "configure", "start", "stop"),
    *,
    runtime: Iterable[str] = (),
    install: Iterable[str] = (),
    uses: Iterable[str] = (),
    provides: Iterable[str] = (),
) -> Service:
    return Service(
        name=name,
        dependencies=Dependencies(
            provides=tuple(provides),
            install=Requirements(requires=tuple(install)),
            runtime=Requirements(requires=tuple(runtime), uses=tuple(uses)),
        ),
        provisioner=Provisioner(actions={action: ServiceAction() for action in actions}),
    )


def layout(services: Iterable[Service], *nodes: Iterable[str]) -> ClusterLayout:
    """A layout of nodes 1000, 1001, ... with the services named."""
    return ClusterLayout(
        nodes=tuple(Node(1000 + place, services=tuple(sorted(names))) for place, names in enumerate(nodes)),
        services={s.name: s for s in services},
    )


def depends_on(services: Mapping[str, Service], name: str, phase: str) -> set[str]:
    """What ``name`` depends on directly, provided names resolved."""
    found = set()
    needs = getattr(services[name].dependencies, phase)
    for needed in (*needs.requires, *needs.uses):
        providers = {other for other, s in services.items() if needed in s.dependencies.provides}
        found |= providers or ({needed} & set(services))
    return found


def pairwise(asked: Collection[Task], services: Mapping[str, Service]) -> nx.DiGraph:
    """Every dependency between the tasks given, an edge for each pair, from first to later."""
    tasks = set(asked)
    graph = nx.DiGraph()
    graph.add_nodes_from(tasks)
    machine_order = ("CREATE", "CONFIRM", "BOOTSTRAP")
    chain_order = ("INSTALL", "STOP", "CONFIGURE", "INITIALIZE", "START")
    for a in tasks:
        for b in tasks:
            same_node = a.node == b.node
            if same_node and not a.service and not b.service and a.action != "DELETE" and b.action != "DELETE":
                if machine_order.index(a.action) < machine_order.index(b.action):
                    graph.add_edge(a, b)
            elif same_node and a.service == b.service and a.service:
                if chain_order.index(a.action) < chain_order.index(b.action):
                    graph.add_edge(a, b)
            elif same_node and not a.service and b.service:
                graph.add_edge(a, b)
    types = {(t.action, t.service) for t in tasks}

    def down(name: str, phase: str, actions: tuple[str, ...]) -> set[tuple[str, str]]:
        found = set()
        for other in depends_on(services, name, phase):
            has = [action for action in actions if (action, other) in types]
            found |= {(has[0], other)} if has else down(other, phase, actions)
        return found

    for action, name in types:
        if action == "INSTALL":
            befores = down(name, "install", ("INSTALL",))
        elif action in ("INITIALIZE", "START"):
            befores = down(name, "runtime", ("START", "INITIALIZE"))
        elif action == "STOP":
            befores = {("STOP", a) for _, a in types if a and ("STOP", name) in down(a, "runtime", ("STOP",))}
            befores = {before for before in befores if before in types}
        else:
            befores = set()
        for before in befores:
            graph.add_edges_from(
                (b, a)
                for b in tasks
                if (b.action, b.service) == before
                for a in tasks
                if (a.action, a.service) == (action, name)
            )
    return graph


def levels_of(graph: nx.DiGraph) -> list[set[Task]]:
    """The tasks by the length of the longest path that leads to each."""
    level: dict[Task, int] = {}
    for task in nx.topological_sort(graph):
        level[task] = max((level[before] + 1 for before in graph.predecessors(task)), default=0)
    return [{t for t in level if level[t] == n} for n in range(max(level.values(), default=-1) + 1)]


def graph_of(plan: Plan) -> nx.DiGraph:
    """A plan's own dependencies, pair by pair."""
    graph = nx.DiGraph()
    graph.add_nodes_from(plan.tasks)
    graph.add_edges_from((before, task) for task in plan.tasks for before in plan.dependencies(task))
    return graph


def expected_tasks(operation: str, on: ClusterLayout, planned: Collection[str] | None) -> set[Task]:
    """The tasks of one of the original's operations on all nodes, for services already expanded."""
    found = set()
    for node in on.nodes:
        names = [name for name in node.services if planned is None or name in planned]
        machines = operation in ("CLUSTER_CREATE", "CLUSTER_DELETE")
        for action in COURSES[operation].actions:
            if action in MACHINE:
                found |= {Task(node.number, action)} if names or machines else set()
            else:
                found |= {Task(node.number, action, n) for n in names if action.lower() in on.services[n].actions}
    return found


@st.composite
def service_sets(draw: st.DrawFn, most: int = 6) -> dict[str, Service]:
    """Services without dependency cycles: each depends only on names that those before it provide."""
    count = draw(st.integers(1, most))
    found: dict[str, Service] = {}
    owned: dict[str, int] = {}
    for place in range(count):
        known = list(dict.fromkeys([*found, *(p for s in found.values() for p in s.dependencies.provides), "absent"]))
        needs = st.lists(st.sampled_from(known), max_size=3, unique=True)
        install, runtime, uses = draw(needs), draw(needs), draw(needs)
        for name in (*install, *runtime, *uses):
            owned[name] = place
        # A name somebody depends on already must not be provided by a later service: that could close a circle.
        free = [name for name in ("v1", "v2", "v3") if name not in owned]
        provides = draw(st.lists(st.sampled_from(free), max_size=2, unique=True)) if free else []
        actions = draw(st.sets(st.sampled_from(["install", "configure", "initialize", "start", "stop", "remove"])))
        name = f"s{place}"
        found[name] = service(name, sorted(actions), install=install, runtime=runtime, uses=uses, provides=provides)
    return found


@st.composite
def layouts(draw: st.DrawFn, most_nodes: int = 4) -> ClusterLayout:
    """Small clusters, some nodes of which may have no services or the same ones."""
    services = draw(service_sets())
    nodes = draw(st.lists(st.sets(st.sampled_from(sorted(services))), min_size=1, max_size=most_nodes))
    return layout(services.values(), *nodes)
