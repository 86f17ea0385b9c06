"""On how few nodes a demand fits: the one hard question of a layout, answered exactly.

Every block a must be on ``low[a]`` nodes, a node holds any valid set. This is covering by independent sets (graph
colouring in disguise), so it has no cheap answer in general; here it nearly always has one, because blocks that can
go wherever a more numerous one goes need no room of their own. What is left is bounded from above by packing greedily
and from below by blocks of which no two share a node; only where the two bounds leave a doubt an integer program
decides (``programs``). Answers are kept, so asking again about the same demand is free.
"""

from __future__ import annotations

from coopr_core.solver.search.problem import Counts, LayoutProblem, bits


class Packing:
    """Answers whether demands fit for one problem."""

    def __init__(self, problem: LayoutProblem) -> None:
        self._problem = problem
        self._bounds: dict[tuple[tuple[int, int], ...], tuple[int, int]] = {}
        self._hosts: dict[int, int] = {}
        self._foes: dict[int, int] = {}
        self._all = (1 << len(problem.blocks)) - 1
        self._types = (1 << len(problem.hardware)) - 1, (1 << len(problem.images)) - 1
        self._grouped = 0
        for group in problem.apart:
            self._grouped |= group

    def fits(self, low: Counts, size: int) -> bool:
        """Whether the demand ``low`` fits on ``size`` nodes, each block at most once a node."""
        if max(low, default=0) > size:
            return False
        core = self._core(low)
        if len(core) <= 1:
            return True
        least, most = self._bounds.get(core) or self._bound(core)
        if most > size >= least:
            from coopr_core.solver.search.programs import decide

            below, above = decide(self._problem, core, size)
            least, most = max(least, below), min(most, above)
            self._bounds[core] = (least, most)
        return size >= most

    def _core(self, low: Counts) -> tuple[tuple[int, int], ...]:
        kept: list[tuple[int, int]] = []
        taken = 0
        wanted = [block for block, count in enumerate(low) if count]
        for block in sorted(wanted, key=lambda b: (-low[b], b)):
            if not self._yields_to(block) & taken:
                taken |= 1 << block
                kept.append((block, low[block]))
        return tuple(kept)

    def _bound(self, core: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        demand = dict(core)
        least = demand[core[0][0]]
        for start, _ in core:
            clique, total = self._never_with(start), demand[start]
            for block, count in core:
                if clique >> block & 1:
                    total += count
                    clique &= self._never_with(block)
            least = max(least, total)
        self._bounds[core] = (least, self._greedy(demand))
        return self._bounds[core]

    def _greedy(self, demand: dict[int, int]) -> int:
        problem, nodes = self._problem, 0
        left = dict(demand)
        while left:
            order = sorted(left, key=lambda b: (-left[b] * (self._never_with(b).bit_count() + 1), b))
            chosen, hardware, images = 0, -1, -1
            for block in order:
                grown = chosen | 1 << block
                if (
                    hardware & problem.on_hardware[block]
                    and images & problem.on_images[block]
                    and not any(group & grown == group for group in problem.apart)
                ):
                    chosen = grown
                    hardware &= problem.on_hardware[block]
                    images &= problem.on_images[block]
            times = min(left[block] for block in bits(chosen))
            nodes += times
            for block in bits(chosen):
                left[block] -= times
                if not left[block]:
                    del left[block]
        return nodes

    def _yields_to(self, block: int) -> int:
        """Return the blocks on whose nodes ``block`` can always be as well, whatever else is there."""
        if block not in self._hosts:
            self._hosts[block] = self._find_hosts(block)
        return self._hosts[block]

    def _find_hosts(self, block: int) -> int:
        problem, hosts = self._problem, 0
        if not self._grouped >> block & 1 and (problem.on_hardware[block], problem.on_images[block]) == self._types:
            return self._all & ~(1 << block)
        groups = [group for group in problem.apart if group >> block & 1]
        for host in range(len(problem.blocks)):
            if (
                host != block
                and not problem.on_hardware[host] & ~problem.on_hardware[block]
                and not problem.on_images[host] & ~problem.on_images[block]
                and all(self._impossible(group & ~(1 << block) | 1 << host) for group in groups)
            ):
                hosts |= 1 << host
        return hosts

    def _never_with(self, block: int) -> int:
        """Return the blocks that can never share a node with ``block``."""
        if block not in self._foes:
            others = bits(self._all & ~(1 << block))
            self._foes[block] = sum(1 << other for other in others if self._impossible(1 << other | 1 << block))
        return self._foes[block]

    def _impossible(self, mask: int) -> bool:
        problem, hardware, images = self._problem, -1, -1
        for block in bits(mask):
            hardware &= problem.on_hardware[block]
            images &= problem.on_images[block]
        return not hardware or not images or any(group & mask == group for group in problem.apart)
