"""A layout problem in numbers: blocks of services, how many nodes each may be on, and which may share a node.

Services that must coexist are merged into one *block* (a must-coexist group is there wholly or not at all, so chained
groups pull each other in). The blocks of a node are then any set without a forbidden group in it whose members agree on
a hardware and an image type: leaving a block out of a valid set never makes it invalid, which everything else in this
package rests on. Sets of blocks are bit masks; bit 0 is the block with the smallest service name. Cost: linear in the
constraints, quadratic in the groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from coopr_core.solver.constraints import UNBOUNDED, Constraint, Kind

Counts: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayoutProblem:
    """What must be placed; the fields of the blocks are parallel.

    ``everywhere`` are the unconstrained services: they go on every node, so a node without blocks is allowed when there
    are any. ``hardware`` and ``images`` are type names in order of preference, ``on_hardware`` and ``on_images`` the
    types a block may be on as masks over them. ``apart`` are the minimal forbidden sets of blocks. ``prices`` are
    integers parallel to ``hardware`` (all 0 unless cost matters).
    """

    everywhere: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]
    low: Counts
    high: Counts
    hardware: tuple[str, ...]
    images: tuple[str, ...]
    on_hardware: Counts
    on_images: Counts
    apart: Counts
    prices: Counts

    @property
    def placeable(self) -> int:
        """The blocks that may be on some node at all."""
        mask = 0
        for block, (hardware, images) in enumerate(zip(self.on_hardware, self.on_images, strict=True)):
            if hardware and images and 1 << block not in self.apart:
                mask |= 1 << block
        return mask

    def types(self) -> Iterator[tuple[int, int, int]]:
        """Every (hardware, image) in order of preference, with the mask of the blocks allowed on it."""
        placeable = self.placeable
        for hardware in range(len(self.hardware)):
            for image in range(len(self.images)):
                mask = 0
                for block in bits(placeable):
                    if self.on_hardware[block] >> hardware & 1 and self.on_images[block] >> image & 1:
                        mask |= 1 << block
                yield hardware, image, mask

    def services(self, mask: int) -> tuple[str, ...]:
        """Return the services of a node with these blocks, sorted."""
        return tuple(sorted([*self.everywhere, *(name for block in bits(mask) for name in self.blocks[block])]))


def pose(
    constraints: Iterable[Constraint],
    services: Iterable[str],
    constrained: Iterable[str],
    hardware: Sequence[str],
    images: Sequence[str],
    size: int,
    used: Mapping[str, int] | None = None,
    prices: Mapping[str, int] | None = None,
) -> LayoutProblem:
    """Return the problem these constraints pose for a cluster of ``size`` nodes.

    ``constrained`` are the services with an entry of their own in the template, ``hardware`` and ``images`` the types
    the provider offers in order of preference; ``used`` says on how many nodes that are already there each service is.
    """
    given = tuple(constraints)
    services = sorted(services)
    chosen = set(services)
    for constraint in given:
        if constraint.kind is Kind.HARDWARE:
            hardware = [name for name in hardware if name in constraint.values]
        elif constraint.kind is Kind.IMAGES:
            images = [name for name in images if name in constraint.values]
    groups = [c for c in given if c.kind in (Kind.TOGETHER, Kind.APART)]
    bound = {*constrained, *(name for group in groups for name in group.services)} & chosen
    blocks = merge(sorted(bound), [[n for n in g.services if n in chosen] for g in groups if g.kind is Kind.TOGETHER])
    home = {name: block for block, names in enumerate(blocks) for name in names}

    low, high = quantities(given, services, size, used or {})
    on_hardware = [(1 << len(hardware)) - 1] * len(blocks)
    on_images = [(1 << len(images)) - 1] * len(blocks)
    for constraint in given:
        if constraint.kind is Kind.ON_HARDWARE:
            on_hardware[home[constraint.services[0]]] &= _mask(hardware, constraint.values)
        elif constraint.kind is Kind.ON_IMAGES:
            on_images[home[constraint.services[0]]] &= _mask(images, constraint.values)
    apart = {
        sum(1 << block for block in {home[name] for name in group.services})
        for group in groups
        if group.kind is Kind.APART and group.services and chosen.issuperset(group.services)
    }
    return LayoutProblem(
        everywhere=tuple(name for name in services if name not in bound),
        blocks=tuple(blocks),
        low=tuple(max(low[name] for name in names) for names in blocks),
        high=tuple(min(high[name] for name in names) for names in blocks),
        hardware=tuple(hardware),
        images=tuple(images),
        on_hardware=tuple(on_hardware),
        on_images=tuple(on_images),
        apart=tuple(sorted(g for g in apart if not any(o != g and o & g == o for o in apart))),
        prices=tuple((prices or {}).get(name, 0) for name in hardware),
    )


def quantities(
    constraints: Iterable[Constraint], services: Iterable[str], size: int, used: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the least and the most nodes each service still needs and may get in a cluster of ``size`` nodes in all.

    A ratio n asks for exactly one node in n, rounded up, held within the service's min and max.
    """
    low = dict.fromkeys(services, 0)
    high = dict.fromkeys(low, UNBOUNDED)
    ratios: list[Constraint] = []
    for constraint in constraints:
        if constraint.kind is Kind.LEAST:
            low[constraint.services[0]] = max(low[constraint.services[0]], constraint.number)
        elif constraint.kind is Kind.MOST:
            high[constraint.services[0]] = min(high[constraint.services[0]], constraint.number)
        elif constraint.kind is Kind.RATIO:
            ratios.append(constraint)
    for ratio in ratios:
        name = ratio.services[0]
        share = min(max(-(-size // ratio.number), ratio.least), ratio.most)
        low[name], high[name] = max(low[name], share), min(high[name], share)
    for name, nodes in used.items():
        if name in low:
            low[name], high[name] = max(low[name] - nodes, 0), max(high[name] - nodes, 0)
    return low, high


def bits(mask: int) -> Iterator[int]:
    """Yield the positions of the bits set, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def merge(names: Sequence[str], groups: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return ``names`` in blocks: whatever a group joins, directly or through others, is one block; sorted."""
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for group in groups:
        for one, other in pairwise(group):
            leader[find(one)] = find(other)
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(find(name), []).append(name)
    return sorted(tuple(sorted(block)) for block in members.values())


def _mask(types: Sequence[str], allowed: Iterable[str]) -> int:
    allowed = set(allowed)
    return sum(1 << position for position, name in enumerate(types) if name in allowed)
