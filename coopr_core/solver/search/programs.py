"""Integer programs for what counting alone cannot decide, solved by HiGHS (imported only when one is needed).

Nodes are counted by type and, within a type, by the pattern of each *part*: blocks joined by cant-coexist groups.
Parts are independent of each other on a node, so only the patterns inside a part are listed, never whole service
sets. Since a smaller set is as good as a larger one where room is concerned, maximal patterns are enough. Cost: one
column per type, part and maximal pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from coopr_core.solver.constraints import UNBOUNDED
from coopr_core.solver.search.patterns import maximal_sets
from coopr_core.solver.search.preference import parts
from coopr_core.solver.search.problem import LayoutProblem, bits

if TYPE_CHECKING:
    import highspy

TOLERANCE = 1e-4
"""How far a sum of costs may be off; all costs are whole."""


class IntegerProgram:
    """Columns are whole numbers from 0, rows are sums between two bounds; the sum of the costs is made least."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self._tops: list[float] = []
        self._rows: list[tuple[float, float, dict[int, float]]] = []

    def column(self, cost: float = 0.0, most: float = float("inf")) -> int:
        """Return a new column; returns its number."""
        self.costs.append(cost)
        self._tops.append(most)
        return len(self.costs) - 1

    def row(self, terms: dict[int, float], least: float = float("-inf"), most: float = float("inf")) -> None:
        """Add a row: ``least <= sum of factor * column <= most``."""
        self._rows.append((least, most, terms))

    def solve(self) -> list[int] | None:
        """Return the value of each column, or None when there is no solution."""
        solver = self._run(whole=True)
        return None if solver is None else [round(value) for value in solver.getSolution().col_value]

    def bound(self) -> int:
        """Return the least sum of the costs when columns need not be whole, rounded up: no solution costs less."""
        solver = self._run(whole=False)
        return UNBOUNDED if solver is None else ceil(solver.getInfo().objective_function_value - TOLERANCE)

    def _run(self, whole: bool) -> highspy.Highs | None:
        import highspy
        import numpy

        model = highspy.HighsLp()
        model.num_col_ = len(self.costs)
        model.num_row_ = len(self._rows)
        model.col_cost_ = numpy.array(self.costs)
        model.col_lower_ = numpy.zeros(len(self.costs))
        model.col_upper_ = numpy.array(self._tops)
        model.row_lower_ = numpy.array([least for least, _, _ in self._rows])
        model.row_upper_ = numpy.array([most for _, most, _ in self._rows])
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = numpy.cumsum([0, *(len(terms) for _, _, terms in self._rows)], dtype=numpy.int32)
        model.a_matrix_.index_ = numpy.array([c for _, _, terms in self._rows for c in terms], dtype=numpy.int32)
        model.a_matrix_.value_ = numpy.array([v for _, _, terms in self._rows for v in terms.values()], dtype=float)
        if whole:
            model.integrality_ = [highspy.HighsVarType.kInteger] * len(self.costs)
        solver = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy annotates its C++ part only
        solver.silent()
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("mip_rel_gap", 0.0)
        solver.setOptionValue("mip_abs_gap", 0.0)
        solver.passModel(model)
        solver.run()
        status, statuses = solver.getModelStatus(), highspy.HighsModelStatus
        if status not in (statuses.kOptimal, statuses.kInfeasible, statuses.kUnboundedOrInfeasible):
            raise AssertionError(f"HiGHS came to no answer: {solver.modelStatusToString(status)}")
        return solver if status == statuses.kOptimal else None


def decide(problem: LayoutProblem, demand: Sequence[tuple[int, int]], size: int) -> tuple[int, int]:
    """Bounds on the least number of nodes for the demand (block, nodes), of which one decides about ``size``.

    The second is ``UNBOUNDED`` when the demand does not fit on ``size`` nodes. Every block can be placed by itself.
    """
    wanted = sum(1 << block for block, _ in demand)
    program = IntegerProgram()
    places: dict[int, dict[int, float]] = {block: {} for block, _ in demand}
    masks = {allowed & wanted for _, _, allowed in problem.types()}
    nodes = {}
    for mask in sorted(m for m in masks if not any(m != other and m & other == m for other in masks)):
        nodes[mask] = program.column(cost=1.0)
        add_patterns(program, nodes[mask], mask, problem.apart, places)
    for block, least in demand:
        program.row(places[block], least=least)
    bound = program.bound()
    if bound > size:
        return bound, UNBOUNDED
    program.row(dict.fromkeys(nodes.values(), 1.0), most=size)
    solution = program.solve()
    if solution is None:
        return size + 1, UNBOUNDED
    return bound, sum(solution[column] for column in nodes.values())


def add_patterns(
    program: IntegerProgram, nodes: int, mask: int, apart: Sequence[int], places: dict[int, dict[int, float]]
) -> None:
    """Count the blocks of ``mask`` on the nodes of column ``nodes``: adds to ``places`` the columns a block is in."""
    groups = [group for group in apart if group & mask == group]
    joined = parts(groups)
    for block in bits(mask & ~sum(joined)):
        places[block][nodes] = 1.0
    for part in joined:
        limit = {nodes: -1.0}
        for pattern in maximal_sets(part, tuple(group for group in groups if group & part)):
            column = program.column()
            limit[column] = 1.0
            for block in bits(pattern):
                places[block][column] = 1.0
        program.row(limit, most=0.0)
