"""The largest sets of blocks that contain no forbidden group: the patterns an integer program counts.

When all groups are pairs these are the maximal independent sets of a graph, found one by one without detours (Bron and
Kerbosch 1973, with pivots); larger groups are broken in every way. Cost: the number of sets, which is exponential at
worst in the blocks joined by groups; answers for the same blocks and groups are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from coopr_core.solver.search.problem import bits


@lru_cache(maxsize=512)
def maximal_sets(blocks: int, groups: tuple[int, ...]) -> tuple[int, ...]:
    """Return the subsets of ``blocks`` that contain no group and to which nothing can be added, ascending."""
    if all(group.bit_count() == 2 for group in groups):
        return tuple(sorted(_independent(blocks, groups)))
    return tuple(sorted(_broken(blocks, groups)))


def _independent(blocks: int, pairs: tuple[int, ...]) -> Iterator[int]:
    friends = {block: blocks & ~(1 << block) for block in bits(blocks)}
    for pair in pairs:
        one, other = bits(pair)
        friends[one] &= ~(1 << other)
        friends[other] &= ~(1 << one)
    stack = [(0, blocks, 0)]
    while stack:
        chosen, free, done = stack.pop()
        if not free:
            if not done:
                yield chosen
            continue
        pivot = max(bits(free | done), key=lambda block: (free & friends[block]).bit_count())
        for block in bits(free & ~friends[pivot]):
            stack.append((chosen | 1 << block, free & friends[block], done & friends[block]))
            free &= ~(1 << block)
            done |= 1 << block


def _broken(blocks: int, groups: tuple[int, ...]) -> Iterator[int]:
    stack = [(blocks, 0)]
    while stack:
        current, kept = stack.pop()
        whole = next((group for group in groups if group & current == group), 0)
        if not whole:
            left = blocks & ~current
            if all(any(g & (current | 1 << b) == g for g in groups if g >> b & 1) for b in bits(left)):
                yield current
            continue
        for block in bits(whole & ~kept):
            stack.append((current & ~(1 << block), kept))
            kept |= 1 << block
