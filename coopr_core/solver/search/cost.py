"""The cheapest layout that satisfies everything, and among equally cheap ones the most preferred.

Prices hang on hardware types alone. Mostly the cheapest type can carry everything, and then this costs no more than
an ordinary solve on that type. Otherwise an integer program finds the least total price, and the ordinary search runs
under that budget with cheaper hardware in place of the alphabetically first. Hardware without a known price counts as
dearer than any other. Cost: one integer program a question asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from coopr_core.catalog.entities import HardwareOffer
from coopr_core.solver.search.batches import Batch, Remainder, count_nodes
from coopr_core.solver.search.problem import LayoutProblem, bits
from coopr_core.solver.search.programs import IntegerProgram, add_patterns


def price_per_hour(offer: HardwareOffer) -> Decimal | None:
    """Return the price of one machine, None when the catalog does not say or says no number."""
    try:
        price = Decimal(offer.cost.strip())
    except InvalidOperation:
        return None
    return price if price.is_finite() and price >= 0 else None


def whole_prices(hardware: Mapping[str, HardwareOffer]) -> dict[str, int]:
    """Prices as whole numbers in one common unit; an unknown price is a thousand times the dearest."""
    known = {name: price for name, offer in hardware.items() if (price := price_per_hour(offer)) is not None}
    digits = max((-int(price.normalize().as_tuple().exponent) for price in known.values()), default=0)
    unit = Decimal(10) ** max(digits, 0)
    whole = {name: int(price * unit) for name, price in known.items()}
    unknown = 1000 * max(whole.values(), default=0) + 1
    return {name: whole.get(name, unknown) for name in hardware}


def count_cheapest(problem: LayoutProblem, size: int) -> list[Batch] | None:
    """Return the preferred one of the cheapest layouts of ``size`` nodes; None when there is no layout."""
    if not problem.hardware:
        return None
    cheapest = min(problem.prices)
    few = [position for position, price in enumerate(problem.prices) if price == cheapest]
    keep = (1 << few[-1] + 1) - 1
    on_cheapest = replace(
        problem,
        hardware=tuple(problem.hardware[position] for position in few),
        prices=(cheapest,) * len(few),
        on_hardware=tuple(mask & keep for mask in problem.on_hardware),
    )
    batches = count_nodes(on_cheapest, size)
    if batches is not None or len(few) == len(problem.hardware):
        return batches
    judge = PricedJudge(problem)
    money = judge.least_price(Remainder(problem.low, problem.high, size))
    return None if money is None else count_nodes(problem, size, judge, money)


class PricedJudge:
    """Judges remainders under a budget."""

    def __init__(self, problem: LayoutProblem) -> None:
        self._problem = problem
        self._least: dict[tuple[Remainder, bool], int | None] = {}

    def solvable(self, rest: Remainder) -> bool:
        """Whether some layout places everything for no more than the money left."""
        return self.fits(rest) and _affordable(self.least_price(rest), rest)

    def fits(self, rest: Remainder) -> bool:
        """Whether the demand fits for no more than the money left, whatever the maxima."""
        return _affordable(self.least_price(rest, bounded=False), rest)

    def least_price(self, rest: Remainder, bounded: bool = True) -> int | None:
        """Return the least total price of a layout; without ``bounded`` maxima and empty nodes do not matter."""
        if bounded and any(low > high for low, high in zip(rest.low, rest.high, strict=True)):
            return None
        key = (replace(rest, money=0, high=rest.high if bounded else ()), bounded)
        if key not in self._least:
            self._least[key] = self._solve(rest, bounded) if rest.size else (None if any(rest.low) else 0)
        return self._least[key]

    def _solve(self, rest: Remainder, bounded: bool) -> int | None:
        problem, program = self._problem, IntegerProgram()
        prices: dict[int, int] = {}
        places: dict[int, dict[int, float]] = {block: {} for block in range(len(problem.blocks))}
        placed: dict[int, dict[int, float]] = {block: {} for block in range(len(problem.blocks))}
        for (price, mask), nodes in self._columns(program):
            prices[nodes] = price
            here: dict[int, dict[int, float]] = {block: {} for block in bits(mask)}
            add_patterns(program, nodes, mask, problem.apart, here)
            on_some = {nodes: -1.0}
            for block in bits(mask):
                places[block].update(here[block])
                if bounded:
                    taken = program.column()
                    placed[block][taken] = on_some[taken] = 1.0
                    program.row({taken: 1.0, **{c: -v for c, v in here[block].items()}}, most=0.0)
            if bounded and not problem.everywhere:
                program.row(on_some, least=0.0)
        program.row(dict.fromkeys(prices, 1.0), least=rest.size, most=rest.size)
        for block, low in enumerate(rest.low):
            if low and not places[block]:
                return None
            if bounded and places[block]:
                program.row(placed[block], least=low, most=min(rest.high[block], rest.size))
            elif low:
                program.row(places[block], least=low)
        solution = program.solve()
        return None if solution is None else sum(solution[column] * price for column, price in prices.items())

    def _columns(self, program: IntegerProgram) -> list[tuple[tuple[int, int], int]]:
        cheapest: dict[int, int] = {}
        for hardware, _, mask in self._problem.types():
            price = self._problem.prices[hardware]
            cheapest[mask] = min(price, cheapest.get(mask, price))
        return [((price, mask), program.column(cost=price)) for mask, price in sorted(cheapest.items())]


def _affordable(price: int | None, rest: Remainder) -> bool:
    return price is not None and price <= rest.money
