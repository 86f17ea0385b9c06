"""How many nodes of which layout: the first answer in the original's preference order, without listing layouts.

The answer is the lexicographically greatest vector of counts over all layouts in order of preference. It is built from
the front: find the most preferred layout that some whole solution contains, take it as often as a whole solution can,
and go on with what is left to place. What is left is a problem of the same form (and no earlier layout can come back:
it would have been taken before), so nothing is ever undone.

Whether "a whole solution" exists has an exact answer that does not look at layouts at all. A demand ``low`` that fits
on ``size`` nodes (``packing``) leaves at worst empty nodes; these are filled with unconstrained services or with any
block below its maximum, and while some node is empty and the maxima add up to ``size`` or more, another has two
blocks and can give one away. So a solution exists exactly when ``low <= high``, ``low`` fits, and there are
unconstrained services or the maxima add up to ``size``.

A preferred set that leaves too little room teaches which blocks every set must have one of, so the next search skips
all sets with the same flaw. Cost: about two steps a block, each a few set searches and packings; independent of the
size but for the logarithm of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from coopr_core.solver.constraints import UNBOUNDED
from coopr_core.solver.search.packing import Packing
from coopr_core.solver.search.preference import Wanted, best_set
from coopr_core.solver.search.problem import Counts, LayoutProblem


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal nodes: their blocks as a mask, hardware and image as positions in the problem, and how many there are."""

    blocks: int
    hardware: int
    image: int
    count: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is still to be placed: the demand, the room, the nodes, and the money left for them (if it matters)."""

    low: Counts
    high: Counts
    size: int
    money: int = 0

    def without(self, mask: int, times: int, price: int = 0) -> Remainder:
        """Return what is left once ``times`` nodes with the blocks ``mask`` are taken."""
        low, high = list(self.low), list(self.high)
        rest = mask
        while rest:
            lowest = rest & -rest
            block = lowest.bit_length() - 1
            low[block] = max(low[block] - times, 0)
            high[block] -= times
            rest ^= lowest
        return Remainder(tuple(low), tuple(high), self.size - times, self.money - times * price)


class Judge(Protocol):
    """Says whether a remainder has a solution, and whether only its demand has (what blocks must be on a next node)."""

    def solvable(self, rest: Remainder) -> bool:
        """Whether some layout of ``rest.size`` nodes places everything."""

    def fits(self, rest: Remainder) -> bool:
        """Return the part of ``solvable`` that can only gain when a node holds more blocks."""


class PackingJudge:
    """Judges by packing alone: prices do not matter."""

    def __init__(self, problem: LayoutProblem) -> None:
        self._filler = bool(problem.everywhere)
        self._placeable = problem.placeable
        self._packing = Packing(problem)

    def solvable(self, rest: Remainder) -> bool:
        """Whether some layout of ``rest.size`` nodes places everything."""
        if any(low > high for low, high in zip(rest.low, rest.high, strict=True)):
            return False
        room = self.room(rest)
        return (room is None or rest.size <= room) and self.fits(rest)

    def room(self, rest: Remainder) -> int | None:
        """Return the most nodes on which every one has a service.

        None when services that go everywhere fill any number.
        """
        if self._filler:
            return None
        return sum(high for block, high in enumerate(rest.high) if self._placeable >> block & 1)

    def fits(self, rest: Remainder) -> bool:
        """Whether the demand fits on the nodes."""
        if any(low and not self._placeable >> block & 1 for block, low in enumerate(rest.low)):
            return False
        return self._packing.fits(rest.low, rest.size)


@dataclass
class _Lessons:
    """Masks every further set must hit, by the price of its node; a lesson stays true as the remainder shrinks."""

    by_price: dict[int, list[int]] = field(default_factory=dict)

    def of(self, price: int) -> list[int]:
        return self.by_price.setdefault(price, [])


def count_nodes(problem: LayoutProblem, size: int, judge: Judge | None = None, money: int = 0) -> list[Batch] | None:
    """Return the preferred layout of ``size`` nodes as batches in order of preference; None when there is none."""
    judge = judge or PackingJudge(problem)
    rest = Remainder(problem.low, problem.high, size, money)
    if not problem.hardware or not problem.images or not judge.solvable(rest):
        return None
    types = list(problem.types())
    weights = [len(names) for names in problem.blocks]
    lessons = _Lessons()
    batches: list[Batch] = []
    while rest.size:
        blocks, hardware, image = _first(problem, types, weights, rest, judge, lessons)
        price = problem.prices[hardware]
        count = _most(rest, blocks, price, judge)
        batches.append(Batch(blocks, hardware, image, count))
        rest = rest.without(blocks, count, price)
    return batches


def _first(
    problem: LayoutProblem,
    types: list[tuple[int, int, int]],
    weights: list[int],
    rest: Remainder,
    judge: Judge,
    lessons: _Lessons,
) -> tuple[int, int, int]:
    """Return the most preferred layout of one node that leaves a solvable remainder."""
    available = sum(1 << block for block, high in enumerate(rest.high) if high > 0)
    most = len(weights)
    if not problem.everywhere:
        room = sum(high for block, high in enumerate(rest.high) if problem.placeable >> block & 1)
        most = min(most, room - rest.size + 1)
    found: dict[tuple[int, int], int | None] = {}
    best: tuple[int, int, int] | None = None
    best_weight = -1
    for hardware, image, allowed in types:
        key = (allowed & available, problem.prices[hardware])
        if key not in found:
            found[key] = _first_on(problem, *key, most, weights, rest, judge, lessons)
        mask = found[key]
        if mask is None or (not mask and not problem.everywhere):
            continue
        weight = sum(weights[block] for block in range(len(weights)) if mask >> block & 1)
        if weight > best_weight:
            best, best_weight = (mask, hardware, image), weight
    if best is None:
        raise AssertionError("a solvable remainder has a first layout")
    return best


def _first_on(
    problem: LayoutProblem,
    allowed: int,
    price: int,
    most: int,
    weights: list[int],
    rest: Remainder,
    judge: Judge,
    lessons: _Lessons,
) -> int | None:
    refused: set[int] = set()
    while True:
        mask = best_set(Wanted(allowed, problem.apart, lessons.of(price), most, refused), weights)
        if mask is None:
            return None
        after = rest.without(mask, 1, price)
        if judge.solvable(after):
            return mask
        if judge.fits(after):
            refused.add(mask)
            continue
        lessons.of(price).append(_learn(problem, mask, price, rest, judge))


def _learn(problem: LayoutProblem, mask: int, price: int, rest: Remainder, judge: Judge) -> int:
    """Return a smallest mask of blocks of which every set must have one, as ``mask`` and all like it leave no room."""
    missing = sum(1 << block for block, low in enumerate(rest.low) if low) & ~mask
    covered = mask
    for block in range(len(problem.blocks)):
        if missing >> block & 1 and not judge.fits(rest.without(covered | 1 << block, 1, price)):
            covered |= 1 << block
            missing &= ~(1 << block)
    return missing


def _most(rest: Remainder, mask: int, price: int, judge: Judge) -> int:
    """How often a whole solution can contain a node with the blocks ``mask``, known to be at least once."""
    upper = min([rest.size, *(high for block, high in enumerate(rest.high) if mask >> block & 1)])
    low, high = 1, min(upper, UNBOUNDED)
    if judge.solvable(rest.without(mask, high, price)):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if judge.solvable(rest.without(mask, middle, price)):
            low = middle
        else:
            high = middle
    return low
