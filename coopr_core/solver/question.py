"""A request as a question that can be asked again with other constraints or another size.

An explanation asks many times: would it work without this constraint, with that one changed, with one node more? Each
time the constraints are counted anew (``pose``), so a service whose last constraint is gone becomes unconstrained
just as if its line had never been written. Cost: one problem a question; a search for a size adds the logarithm of
the sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from coopr_core.solver.choice import Choice
from coopr_core.solver.constraints import UNBOUNDED, Constraint, Kind, constraints_of
from coopr_core.solver.explanation import explain
from coopr_core.solver.search.batches import PackingJudge, Remainder
from coopr_core.solver.search.cost import whole_prices
from coopr_core.solver.search.problem import LayoutProblem, pose
from coopr_core.solver.unsatisfiable import Span, Unsatisfiable

SIZES_TRIED = 400
"""How many sizes are tried where ratios leave no better way than trying."""


@dataclass(frozen=True)
class Question:
    """Whether and how ``choice`` can be laid out on new nodes.

    ``used`` says on how many nodes that are already there each service is, ``present`` how many nodes that are; both
    are empty for a new cluster. ``prices`` are integers by hardware type name when the cheapest layout is wanted.
    """

    choice: Choice
    constraints: tuple[Constraint, ...]
    present: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)

    def problem(self, constraints: Iterable[Constraint] | None = None, size: int | None = None) -> LayoutProblem:
        """Return the problem these constraints (all by default) pose for a cluster of ``size`` nodes in all."""
        hardware = sorted(self.choice.hardware, key=lambda name: (self.prices.get(name, 0), name))
        return pose(
            self.constraints if constraints is None else constraints,
            self.choice.services,
            self.choice.template.constraints.services,
            hardware,
            sorted(self.choice.images),
            self.choice.size if size is None else size,
            self.used,
            self.prices,
        )

    def works(self, constraints: Sequence[Constraint] | None = None, size: int | None = None) -> bool:
        """Whether a layout of ``size`` nodes in all exists."""
        size = self.choice.size if size is None else size
        problem = self.problem(constraints, size)
        if size < self.present or not problem.hardware or not problem.images:
            return False
        return PackingJudge(problem).solvable(Remainder(problem.low, problem.high, size - self.present))

    def possible(self, constraints: Sequence[Constraint]) -> bool:
        """Whether a layout exists under ``constraints``, of any size when they do not set one."""
        fixed = next((c.number for c in constraints if c.kind is Kind.SIZE), None)
        if fixed is not None:
            return self.works(constraints, fixed)
        return self.least_size(constraints, *_bounds(constraints)) is not None

    def least_size(self, constraints: Sequence[Constraint], least: int, most: int | None) -> int | None:
        """Return the least size from ``least`` to ``most`` that works; None when none does."""
        least = max(least, self.present)
        if any(c.kind is Kind.RATIO for c in constraints):
            last = least + SIZES_TRIED if most is None else min(most, least + SIZES_TRIED)
            return next((size for size in range(least, last + 1) if self.works(constraints, size)), None)
        problem = self.problem(constraints)
        if not problem.hardware or not problem.images:
            return None
        judge = PackingJudge(problem)
        top = max(least, self.present + sum(problem.low))
        top = top if most is None else min(top, most)
        if top < least or not judge.fits(Remainder(problem.low, problem.high, top - self.present)):
            return None
        low = least - 1
        while top - low > 1:
            middle = (low + top) // 2
            if judge.fits(Remainder(problem.low, problem.high, middle - self.present)):
                top = middle
            else:
                low = middle
        return top if judge.solvable(Remainder(problem.low, problem.high, top - self.present)) else None

    def span(self) -> Span | None:
        """All sizes that work, within the template's bounds: they have no gaps but where a ratio makes them."""
        least, most = self._allowed()
        first = self.least_size(self.constraints, least, most)
        if first is None:
            return None
        problem = self.problem()
        room = PackingJudge(problem).room(Remainder(problem.low, problem.high, 0))
        if room is None or room >= UNBOUNDED // 2:
            return Span(first, most)
        return Span(first, self.present + room if most is None else min(most, self.present + room))

    def sizes(self) -> tuple[int, ...]:
        """Return the nearest smaller and the nearest larger size that works, within the template's bounds."""
        asked, (least, most) = self.choice.size, self._allowed()
        if not self._has_ratio():
            span = self.span()
            if span is None:
                return ()
            return (span.first if span.first > asked or span.last is None else span.last,)
        tried = range(asked - 1, max(least, asked - SIZES_TRIED) - 1, -1)
        below = next((size for size in tried if self.works(size=size)), None)
        above = self.least_size(self.constraints, asked + 1, most)
        return tuple(size for size in (below, above) if size is not None)

    def refusal(self) -> Unsatisfiable:
        """Why the question has no answer, and what would have one."""
        choice, asked = self.choice, self.choice.size_asked
        nodes = f"on {choice.size} node{'' if choice.size == 1 else 's'}" if asked else "of any size"
        grown = f" (now {self.present})" if self.present else ""
        return explain(
            f"no layout of template {choice.template.name} {nodes}{grown} satisfies all constraints; these clash:",
            self.constraints,
            self.possible,
            sizes=self.sizes() if asked else (),
            span=self.span() if asked and not self._has_ratio() else None,
            types=sorted({*choice.hardware, *choice.images}),
            reason=""
            if self.problem().everywhere
            else "every node must have a service, and no service may be on all nodes whatever their number",
        )

    def _allowed(self) -> tuple[int, int | None]:
        least, most = _bounds(self.constraints)
        return max(least, self.present + 1 if self.present else 1), most

    def _has_ratio(self) -> bool:
        return any(constraint.kind is Kind.RATIO for constraint in self.constraints)


def ask(choice: Choice, by_cost: bool = False) -> Question:
    """Return the question a request for a new cluster asks."""
    return Question(choice, constraints_of(choice), prices=whole_prices(choice.hardware) if by_cost else {})


def _bounds(constraints: Iterable[Constraint]) -> tuple[int, int | None]:
    least, most = 1, None
    for constraint in constraints:
        if constraint.kind is Kind.LEAST_SIZE:
            least = constraint.number
        elif constraint.kind is Kind.MOST_SIZE:
            most = constraint.number
    return least, most
