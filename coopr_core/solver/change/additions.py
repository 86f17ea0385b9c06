"""Adding services to the nodes of a running cluster (section 3 of the original's semantics, rule D11).

The services are added one after the other, the most limited first (lowest maximum, highest minimum, name; services
without a constraint of their own last): each to as many nodes as its maximum and the services still to come allow,
and of equal counts to those on the more preferred nodes. Hardware, images and the services already there do not move.
Unlike the original this looks ahead: a place that a later service cannot do without is not given away, so if all
services can be added they are, and otherwise nothing changes. A node that breaks a rule already gets nothing more.

New services that must coexist are one block. Blocks that no cant-coexist group joins do not get in each other's way and
are placed by counting; joined ones by an integer program over their patterns on each kind of node. Cost: kinds of nodes
times blocks, or as many integer programs for joined blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from coopr_core.model.layout import Node
from coopr_core.solver.choice import Choice
from coopr_core.solver.constraints import UNBOUNDED, Constraint, Kind, constraints_of
from coopr_core.solver.explanation import explain
from coopr_core.solver.search.preference import parts
from coopr_core.solver.search.problem import bits, merge, quantities
from coopr_core.solver.search.programs import IntegerProgram, add_patterns

_RELEVANT = (Kind.LEAST, Kind.MOST, Kind.RATIO, Kind.ON_HARDWARE, Kind.ON_IMAGES, Kind.TOGETHER, Kind.APART)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Equal nodes: the blocks they may still get, those they must get, and the sets they must not get wholly."""

    nodes: tuple[Node, ...]
    allowed: int
    forced: int
    apart: tuple[int, ...]


def add_services(choice: Choice, nodes: Sequence[Node], added: Sequence[str]) -> list[Node]:
    """Return ``nodes`` with the services ``added`` on some of them; ``choice.services`` are all of the cluster's."""
    constraints = [c for c in constraints_of(choice) if c.kind in _RELEVANT]
    added = sorted(added, key=lambda name: _limits(choice, name))
    task = _Adding(choice, nodes, added, constraints)
    if task.possible():
        return task.place()
    raise explain(
        f"{', '.join(added)} cannot be added to the cluster as it stands; these constraints clash:",
        constraints,
        lambda given: _Adding(choice, nodes, added, given).possible(),
        reason="hardware, images and the services already on the nodes stay as they are",
    )


class _Adding:
    """The blocks to add under some constraints, and the nodes that may take them."""

    def __init__(
        self, choice: Choice, nodes: Sequence[Node], added: Sequence[str], constraints: Sequence[Constraint]
    ) -> None:
        self._nodes = tuple(nodes)
        chosen = set(choice.services)
        self._types = [c for c in constraints if c.kind in (Kind.ON_HARDWARE, Kind.ON_IMAGES)]
        self._together = [chosen & set(c.services) for c in constraints if c.kind is Kind.TOGETHER]
        self._apart = [
            set(c.services)
            for c in constraints
            if c.kind is Kind.APART and c.services and chosen.issuperset(c.services)
        ]
        order = {name: position for position, name in enumerate(added)}
        merged = merge(sorted(order), [sorted(group & set(order)) for group in self._together])
        self._blocks = sorted(merged, key=lambda block: min(order[name] for name in block))
        low, high = quantities(constraints, choice.services, len(nodes), {})
        wanted = {c.services[0] for c in constraints if c.kind is Kind.LEAST} | _unasked(choice)
        self._low = [max(max(low[name], name in wanted) for name in block) for block in self._blocks]
        self._high = [min(high[name] for name in block) for block in self._blocks]
        used = Counter(name for node in nodes for name in node.services)
        self._sound = all(low[name] <= count <= high[name] for name, count in used.items() if name in low)

    def possible(self) -> bool:
        """Whether all blocks can be placed."""
        kinds = self._kinds(0)
        if not self._sound or any(kind.forced & ~kind.allowed for kind in kinds):
            return False
        return all(self._shares(kinds, part, ()) is not None for part in self._joined(kinds, 0))

    def place(self) -> list[Node]:
        """Return the nodes with every block placed, by number; all blocks must be possible."""
        for block, names in enumerate(self._blocks):
            kinds = self._kinds(block)
            part = next(part for part in self._joined(kinds, block) if part >> block & 1)
            grown = {}
            for kind, share in zip(kinds, self._preferred(kinds, part, block), strict=True):
                for node in kind.nodes[:share]:
                    grown[node.number] = replace(node, services=tuple(sorted({*node.services, *names})))
            self._nodes = tuple(grown.get(node.number, node) for node in self._nodes)
        return list(self._nodes)

    def _kinds(self, first: int) -> list[_Kind]:
        """Return the nodes as they are now, by preference; blocks before ``first`` are on them already."""
        equal: dict[tuple[int, str, str, tuple[str, ...]], list[Node]] = {}
        for node in self._nodes:
            key = (-len(node.services), node.hardware_type, node.image_type, tuple(sorted(node.services)))
            equal.setdefault(key, []).append(node)
        return [_Kind(tuple(nodes), *self._room(nodes[0], first)) for _, nodes in sorted(equal.items())]

    def _room(self, node: Node, first: int) -> tuple[int, int, tuple[int, ...]]:
        home = {name: block for block, names in enumerate(self._blocks) if block >= first for name in names}
        here = set(node.services)
        allowed, forced, apart = 0, 0, []
        for block in set(home.values()):
            allowed |= 1 << block
        for constraint in self._types:
            type_ = node.hardware_type if constraint.kind is Kind.ON_HARDWARE else node.image_type
            if constraint.services[0] in home and type_ not in constraint.values:
                allowed &= ~(1 << home[constraint.services[0]])
        for group in self._together:
            settled = {name for name in group if name not in home}
            blocks = _mask(home[name] for name in group if name in home)
            if settled & here:
                forced |= blocks
            if not settled <= here:
                allowed &= ~blocks if blocks or not settled & here else 0
        for group in self._apart:
            if {name for name in group if name not in home} <= here:
                blocks = _mask(home[name] for name in group if name in home)
                if blocks & (blocks - 1):
                    apart.append(blocks)
                else:
                    allowed &= ~blocks if blocks else 0
        return allowed, forced, tuple(apart)

    def _joined(self, kinds: Sequence[_Kind], first: int) -> list[int]:
        groups = {group for kind in kinds for group in kind.apart if group & kind.allowed == group}
        return parts([*sorted(groups), *(1 << block for block in range(first, len(self._blocks)))])

    def _preferred(self, kinds: Sequence[_Kind], part: int, block: int) -> list[int]:
        """How many nodes of each kind get ``block``: as many as can be, then the more preferred kinds first."""
        best = self._shares(kinds, part, (1.0,) * len(kinds), block)
        assert best is not None
        if part.bit_count() == 1:
            return best
        fixed: list[int] = []
        for position in range(len(kinds)):
            weights = tuple(float(other == position) for other in range(len(kinds)))
            best = self._shares(kinds, part, weights, block, total=sum(best), fixed=fixed)
            assert best is not None
            fixed.append(best[position])
        return fixed

    def _shares(
        self,
        kinds: Sequence[_Kind],
        part: int,
        weights: Sequence[float],
        block: int = -1,
        total: int | None = None,
        fixed: Sequence[int] = (),
    ) -> list[int] | None:
        """How many nodes of each kind get ``block`` when the weighted sum is greatest; None when ``part`` cannot be."""
        if part.bit_count() == 1:
            return self._share_of_one(kinds, part.bit_length() - 1)
        program = IntegerProgram()
        shares: dict[int, dict[int, int]] = {other: {} for other in bits(part)}
        for position, kind in enumerate(kinds):
            count = len(kind.nodes)
            nodes = program.column(most=count)
            program.row({nodes: 1.0}, least=count)
            mask = kind.allowed & part
            room: dict[int, dict[int, float]] = {other: {} for other in bits(mask)}
            add_patterns(program, nodes, mask, kind.apart, room)
            for other in bits(mask):
                column = program.column(cost=-weights[position] if other == block else 0.0, most=count)
                shares[other][position] = column
                program.row({column: 1.0, **{place: -factor for place, factor in room[other].items()}}, most=0.0)
                if kind.forced >> other & 1:
                    program.row({column: 1.0}, least=count)
                if other == block and position < len(fixed):
                    program.row({column: 1.0}, least=fixed[position], most=fixed[position])
        for other in bits(part):
            least, most = self._low[other], min(self._high[other], len(self._nodes))
            if other == block and total is not None:
                least = most = total
            program.row(dict.fromkeys(shares[other].values(), 1.0), least=least, most=most)
        solution = program.solve()
        if solution is None or block < 0:
            return None if solution is None else []
        return [solution[shares[block][position]] if position in shares[block] else 0 for position in range(len(kinds))]

    def _share_of_one(self, kinds: Sequence[_Kind], block: int) -> list[int] | None:
        room = [len(kind.nodes) if kind.allowed >> block & 1 else 0 for kind in kinds]
        forced = [len(kind.nodes) if kind.forced >> block & 1 else 0 for kind in kinds]
        total = min(self._high[block], sum(room))
        if total < max(self._low[block], sum(forced)):
            return None
        spare, shares = total - sum(forced), []
        for most, least in zip(room, forced, strict=True):
            extra = min(most - least, spare)
            shares.append(least + extra)
            spare -= extra
        return shares


def _limits(choice: Choice, name: str) -> tuple[bool, int, int, str]:
    """Return the order in which services are added: lowest maximum first, then highest minimum, then by name."""
    own = choice.template.constraints.services.get(name)
    if own is None:
        return (True, 0, 0, name)
    most = UNBOUNDED if own.quantities.max is None else own.quantities.max
    return (False, most, -(own.quantities.min or 0), name)


def _unasked(choice: Choice) -> set[str]:
    """Services that may be on no node of a new cluster; to add one still means to have it somewhere."""
    asked = {c.services[0] for c in constraints_of(choice) if c.kind is Kind.LEAST}
    return {name for name in choice.services if name not in asked}


def _mask(blocks: Iterable[int]) -> int:
    mask = 0
    for block in blocks:
        mask |= 1 << block
    return mask
