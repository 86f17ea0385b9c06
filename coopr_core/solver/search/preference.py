"""The most preferred service set of one node: more services first, then hardware, image and service names.

Only the best set is looked for, never the list of all. Inside one hardware and image type the search walks the blocks
in name order, taking before leaving, and drops every branch that cannot hold more services than the best set so far, so
the first best set found is also the first by name. Parts that do not touch each other are searched apart. Cost: linear
when blocks only have quantities; exponential at worst in the largest part joined by cant-coexist groups.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from coopr_core.solver.search.problem import bits


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a set must be: within ``allowed``, free of every group of ``apart``, hitting every mask of ``hits``.

    ``most`` is the most blocks it may have, ``refused`` are sets it may not be.
    """

    allowed: int
    apart: Sequence[int]
    hits: Sequence[int]
    most: int
    refused: Set[int] = frozenset()


def best_set(wanted: Wanted, weights: Sequence[int]) -> int | None:
    """Return the wanted set of the most services, the first by name among equals; None when there is none."""
    allowed = wanted.allowed
    hits = [mask & allowed for mask in wanted.hits]
    if not all(hits):
        return None
    groups = [group for group in wanted.apart if group & allowed == group]
    result, free = 0, allowed
    for part in parts([*groups, *hits]):
        free &= ~part
        found = _Search(part, [g for g in groups if g & part], [h for h in hits if h & part], None, weights).run()
        if found is None:
            return None
        result |= found
    result |= free
    if result.bit_count() <= wanted.most and result not in wanted.refused:
        return result
    return _Search(allowed, groups, hits, wanted.most, weights, wanted.refused).run()


def parts(edges: Sequence[int]) -> list[int]:
    """Return the unions of edges that touch each other, directly or through others."""
    found: list[int] = []
    for edge in edges:
        joined = edge
        rest = []
        for part in found:
            if part & joined:
                joined |= part
            else:
                rest.append(part)
        found = [*rest, joined]
    return found


class _Search:
    """Depth first over the blocks in name order, with propagation and a bound."""

    def __init__(
        self,
        blocks: int,
        groups: list[int],
        hits: list[int],
        most: int | None,
        weights: Sequence[int],
        refused: Set[int] = frozenset(),
    ) -> None:
        self._blocks = blocks
        self._groups = groups
        self._hits = sorted(hits, key=int.bit_count)
        self._most = most
        self._weights = weights
        self._refused = refused
        self._even = all(weights[block] == 1 for block in bits(blocks))
        self._best: int | None = None
        self._best_weight = -1

    def run(self) -> int | None:
        self._descend(0, 0)
        return self._best

    def _descend(self, taken: int, left: int) -> None:
        while True:
            state = self._propagate(taken, left)
            if state is None:
                return
            taken, left = state
            free = self._blocks & ~taken & ~left
            if self._bound(taken, free) <= self._best_weight:
                return
            if not free:
                if taken in self._refused:
                    return
                self._best, self._best_weight = taken, self._weight(taken)
                return
            lowest = free & -free
            self._descend(taken | lowest, left)
            left |= lowest

    def _propagate(self, taken: int, left: int) -> tuple[int, int] | None:
        changed = True
        while changed:
            changed = False
            if self._most is not None:
                if taken.bit_count() > self._most:
                    return None
                if taken.bit_count() == self._most and self._blocks & ~taken & ~left:
                    left = self._blocks & ~taken
            for group in self._groups:
                open_ = group & ~taken
                if not open_:
                    return None
                if not open_ & (open_ - 1) and not open_ & left:
                    left |= open_
                    changed = True
            needed, seen = 0, 0
            for hit in self._hits:
                if hit & taken:
                    continue
                open_ = hit & ~left
                if not open_:
                    return None
                if not open_ & (open_ - 1):
                    taken |= open_
                    changed = True
                elif not open_ & seen:
                    seen |= open_
                    needed += 1
            if self._most is not None and taken.bit_count() + needed > self._most:
                return None
        return taken, left

    def _bound(self, taken: int, free: int) -> int:
        if self._most is not None:
            room = self._most - taken.bit_count()
            if free.bit_count() > room:
                best = sorted((self._weights[block] for block in bits(free)), reverse=True)[:room]
                return self._weight(taken) + sum(best)
        lost, seen = 0, 0
        for group in self._groups:
            open_ = group & ~taken
            if not open_ & ~free and not open_ & seen:
                seen |= open_
                lost += 1 if self._even else min(self._weights[block] for block in bits(open_))
        return self._weight(taken) + self._weight(free) - lost

    def _weight(self, mask: int) -> int:
        return mask.bit_count() if self._even else sum(self._weights[block] for block in bits(mask))
