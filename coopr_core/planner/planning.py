"""``plan``: an operation on a layout becomes a plan. A pure function; nodes with the same program are planned once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput
from coopr_core.model import courses as shared
from coopr_core.model.courses import Along, Course, Scope
from coopr_core.model.layout import ClusterLayout
from coopr_core.model.operations import course_named, courses
from coopr_core.planner.dependencies import ServiceDependencies
from coopr_core.planner.folding import fold
from coopr_core.planner.plans import Plan
from coopr_core.planner.programs import Program, Role, program
from coopr_core.suggestions import among

Changed = Mapping[int, Collection[str]]
"""The services of each node whose rendered configuration changes."""

_Name = TypeVar("_Name", str, int)


def plan(
    operation: str,
    layout: ClusterLayout,
    services: Iterable[str] | None = None,
    nodes: Iterable[int] | None = None,
    current: ClusterLayout | None = None,
    *,
    changed: Changed | None = None,
    restart: bool = True,
    reloads: Changed | None = None,
) -> Plan:
    """Return the plan of ``operation``, which is the name of a course, on ``layout``.

    ``services`` and ``nodes`` narrow it down, None is all of them; starting a service also starts what it depends on,
    stopping or restarting one also stops or restarts what depends on it, on those nodes. With ``current``, the layout
    as it is now, courses by difference (ADD_SERVICES, SCALE_OUT, SCALE_IN) touch only what differs: new nodes are
    created, new services of old nodes added, services and nodes that are gone stopped, removed, deleted.

    ``changed`` names what must take a new configuration: it is all that the CONFIGURE operations touch, and what adapts
    in the others. ``restart`` says whether adapting services restart or only run CONFIGURE; those in ``reloads`` take
    what changes without a restart in any case.

    Raises InvalidInput for an operation, service or node that does not exist, and DependencyCycle, a kind of it.
    """
    course = course_named(operation)
    if course is None:
        known = [each.name for each in courses()]
        raise InvalidInput(f"unknown operation {operation!r}", hint=among(operation, known, "one of"))
    planning = _Planning(course, layout, current, changed or {}, restart, reloads or {})
    chosen = planning.check_services(services)
    numbers = planning.check_nodes(nodes)
    planning.check_changed()
    if course.scope is Scope.DIFFERENCE and current is None:
        raise InvalidInput(f"{operation} needs the layout as it is now", hint="pass it as current=")
    if changed and not course.adapts:
        adapted = ", ".join(sorted(each.name for each in courses() if each.adapts))
        raise InvalidInput(f"{operation} changes no configuration", hint=f"changed= is for {adapted}")
    if course.scope is Scope.NAMED and nodes is None:
        raise InvalidInput(f"{operation} needs the nodes to replace", hint="pass their numbers as nodes=")
    if current is not None and course.scope in (Scope.NEW, Scope.DIFFERENCE):
        found = planning.difference(current, chosen, numbers)
    elif changed is not None and course.scope is Scope.CHANGED:
        found = planning.configure(chosen, numbers)
    else:
        found = planning.everywhere(planning.expand(chosen), numbers)
    programs: dict[Program, list[int]] = {}
    for number, asked in found:
        if asked:
            programs.setdefault(asked, []).append(number)
    return Plan(course.name, fold(programs, planning.dependencies))


class _Planning:
    """What one call of ``plan`` knows."""

    def __init__(
        self,
        course: Course,
        layout: ClusterLayout,
        current: ClusterLayout | None,
        changed: Changed,
        restart: bool,
        reloads: Changed,
    ) -> None:
        self._course = course
        self._layout = layout
        self._layouts = (layout, current) if current else (layout,)
        self._changed = changed
        self._reloads = reloads
        self._adapt = shared.RECONFIGURE if restart else shared.CONFIGURE
        self._cache: dict[tuple[str, tuple[str, ...], Role, bool], Program] = {}
        self._services = self._placed(self._layouts)
        self.dependencies = ServiceDependencies(self._services) if course.ordered else None

    def check_services(self, names: Iterable[str] | None) -> frozenset[str] | None:
        """Return the services asked for, all of which must be on the cluster."""
        return None if names is None else self._known(frozenset(names), self._services, "service")

    def check_nodes(self, numbers: Iterable[int] | None) -> frozenset[int] | None:
        """Return the nodes asked for, all of which must be in the layout."""
        if numbers is None:
            return None
        return self._known(frozenset(numbers), {n.number for one in self._layouts for n in one.nodes}, "node")

    def check_changed(self) -> None:
        """Refuse to configure anew what is not there."""
        if not self._changed:
            return
        on_node = {node.number: node.services for node in self._layout.nodes}
        self._known(frozenset(self._changed), list(on_node), "node")
        for number, names in self._changed.items():
            self._known(frozenset(names), on_node[number], "service", f" on node {number}")

    def expand(self, chosen: frozenset[str] | None) -> frozenset[str] | None:
        """Return the services chosen and those that must start or stop with them."""
        if chosen is None or self.dependencies is None:
            return chosen
        if self._course.along is Along.NEEDED:
            return frozenset(self.dependencies.needed_by(chosen))
        if self._course.along is Along.DEPENDANTS:
            return frozenset(self.dependencies.dependants_of(chosen))
        return chosen

    def everywhere(
        self, chosen: frozenset[str] | None, numbers: frozenset[int] | None
    ) -> Iterator[tuple[int, Program]]:
        """Each node's program when the operation is about all nodes asked for."""
        machines = self._course.machines
        for node in self._layout.nodes:
            asked = numbers is None or node.number in numbers
            names = [name for name in node.services if asked and (chosen is None or name in chosen)]
            own = self._program(self._course, names, every_node=machines) if asked else Program()
            yield node.number, own if asked and machines else own + self._adapting(node.number, without=names)

    def configure(self, chosen: frozenset[str] | None, numbers: frozenset[int] | None) -> Iterator[tuple[int, Program]]:
        """Each node's program when only what changes is configured."""
        for number, names in self._changed.items():
            if numbers is None or number in numbers:
                asked = [name for name in names if chosen is None or name in chosen]
                yield number, self._configured(number, self._course, asked, Role.MAIN)

    def difference(
        self, current: ClusterLayout, chosen: frozenset[str] | None, numbers: frozenset[int] | None
    ) -> Iterator[tuple[int, Program]]:
        """Each node's program when ``current`` becomes the layout."""
        old = {node.number: node.services for node in current.nodes}
        for node in self._layout.nodes:
            had = old.pop(node.number, None)
            asked = numbers is None or node.number in numbers
            if had is None:
                if asked:
                    names = [name for name in node.services if chosen is None or name in chosen]
                    yield node.number, self._program(shared.SCALE_OUT, names, every_node=True)
            elif had == node.services or not asked:
                yield node.number, self._adapting(node.number)
            else:
                added = [n for n in node.services if n not in had and (chosen is None or n in chosen)]
                removed = [n for n in had if n not in node.services and (chosen is None or n in chosen)]
                yield (
                    node.number,
                    self._program(shared.ADD_SERVICES, added)
                    + self._adapting(node.number, without=added)
                    + Program(chains=self._program(shared.SCALE_IN, removed, role=Role.LEAVING).chains),
                )
        for number, left in old.items():
            if numbers is None or number in numbers:
                yield number, self._program(shared.SCALE_IN, left, role=Role.LEAVING, every_node=True)

    def _adapting(self, number: int, without: Collection[str] = ()) -> Program:
        if number not in self._changed:
            return Program()
        names = [name for name in self._changed[number] if name not in without]
        return self._configured(number, self._adapt, names, Role.ADAPTING)

    def _configured(self, number: int, course: Course, names: Collection[str], role: Role) -> Program:
        """Return the program for services that take a new configuration; those that reload do not restart for it."""
        reloading = self._reloads.get(number, ())
        restarting = [name for name in names if name not in reloading]
        own = self._program(course, restarting, role=role)
        return own + self._program(shared.CONFIGURE, [name for name in names if name in reloading], role=role)

    def _program(
        self, course: Course, names: Collection[str], *, role: Role = Role.MAIN, every_node: bool = False
    ) -> Program:
        """Return the program for the services ``names``; nodes with the same services share it."""
        key = (course.name, tuple(names), role, every_node)
        if key not in self._cache:
            self._cache[key] = program(course, frozenset(names), self._services, role=role, every_node=every_node)
        return self._cache[key]

    @staticmethod
    def _placed(layouts: Collection[ClusterLayout]) -> dict[str, Service]:
        """Return the definitions of all services that are on a node of the layouts; the first layout's hold."""
        placed = sorted(
            {name for one in layouts for node_services in {n.services for n in one.nodes} for name in node_services}
        )
        found: dict[str, Service] = {}
        for name in placed:
            definition = next((one.services[name] for one in layouts if name in one.services), None)
            if definition is None:
                raise InvalidInput(
                    f"the layout has service {name!r} on a node but does not define it",
                    hint="add it to the layout's services",
                )
            found[name] = definition
        return found

    @staticmethod
    def _known(asked: frozenset[_Name], known: Collection[_Name], what: str, place: str = "") -> frozenset[_Name]:
        unknown = sorted(asked.difference(known))
        if unknown:
            raise InvalidInput(
                f"no {what} {', '.join(map(str, unknown))}{place or ' on the cluster'}",
                hint=among(str(unknown[0]), map(str, sorted(known)), f"its {what}s"),
            )
        return asked
