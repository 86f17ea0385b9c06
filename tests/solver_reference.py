"""The rules of a layout written down a second time, as plainly as can be, to judge the solver by.

Everything is enumerated: fit for a handful of services and nodes only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

Column = tuple[str, str, tuple[str, ...]]


def constrained(services: Sequence[str], constraints: Mapping[str, Any]) -> list[str]:
    """The services that have a constraint or are in a group."""
    layout = constraints.get("layout", {})
    grouped = {name for groups in layout.values() for group in groups for name in group}
    return sorted(name for name in services if name in constraints.get("services", {}) or name in grouped)


def is_valid(names: Sequence[str], services: Sequence[str], constraints: Mapping[str, Any]) -> bool:
    """Whether the constrained services ``names`` may share a node."""
    here, chosen = set(names), set(services)
    layout = constraints.get("layout", {})
    if any(group and set(group) <= chosen and set(group) <= here for group in layout.get("cantcoexist", [])):
        return False
    return all((set(group) & chosen) <= here or not set(group) & here for group in layout.get("mustcoexist", []))


def columns(
    services: Sequence[str], constraints: Mapping[str, Any], hardware: Sequence[str], images: Sequence[str]
) -> list[Column]:
    """Every kind of node in order of preference."""
    bound = constrained(services, constraints)
    free = sorted(set(services) - set(bound))
    found = []
    for count in range(len(bound) + 1):
        for names in combinations(bound, count):
            if not (names or free) or not is_valid(names, services, constraints):
                continue
            own = [constraints.get("services", {}).get(name, {}) for name in names]
            fit = [
                (h, i)
                for h in sorted(hardware)
                for i in sorted(images)
                if all(h in (c.get("hardwaretypes") or [h]) and i in (c.get("imagetypes") or [i]) for c in own)
            ]
            if fit:
                found.append((*fit[0], tuple(sorted([*names, *free]))))
    return sorted(found, key=lambda column: (-len(column[2]), *column))


def bounds(services: Sequence[str], constraints: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The least and the most nodes of each constrained service (rule D1 included)."""
    found = {}
    for name in constrained(services, constraints):
        quantities = constraints.get("services", {}).get(name, {}).get("quantities", {})
        most = quantities.get("max", 10**9)
        found[name] = (quantities.get("min", 0 if most == 0 else 1), most)
    return found


def layouts(kinds: Sequence[Column], size: int, limits: Mapping[str, tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """All vectors of counts over ``kinds`` within ``limits``, the most preferred first."""

    def count(position: int, left: int, used: dict[str, int]) -> Iterator[tuple[int, ...]]:
        if position == len(kinds):
            if left == 0 and all(used[name] >= least for name, (least, _) in limits.items()):
                yield ()
            return
        names = [name for name in kinds[position][2] if name in limits]
        most = min([left, *(limits[name][1] - used[name] for name in names)])
        for here in range(most, -1, -1):
            after = {**used, **{name: used[name] + here for name in names}}
            for rest in count(position + 1, left - here, after):
                yield (here, *rest)

    return count(0, size, dict.fromkeys(limits, 0))


def first_layout(
    services: Sequence[str],
    constraints: Mapping[str, Any],
    hardware: Sequence[str],
    images: Sequence[str],
    size: int,
) -> list[Column] | None:
    """The nodes of the most preferred layout, or None when there is none."""
    kinds = columns(services, constraints, hardware, images)
    best = next(layouts(kinds, size, bounds(services, constraints)), None)
    return None if best is None else [kind for kind, count in zip(kinds, best, strict=True) for _ in range(count)]


def breaks(
    nodes: Sequence[Column], services: Sequence[str], constraints: Mapping[str, Any], skip_quantities: bool = False
) -> list[str]:
    """What is wrong with ``nodes`` as a layout of ``services``; empty when nothing is."""
    bound = constrained(services, constraints)
    wrong = []
    for hardware, image, names in nodes:
        here = [name for name in names if name in bound]
        missing = set(services) - set(bound) - set(names)
        if missing or not names:
            wrong.append(f"a node lacks {sorted(missing) or 'any service'}")
        if not is_valid(here, services, constraints):
            wrong.append(f"{here} may not share a node")
        for name in here:
            own = constraints.get("services", {}).get(name, {})
            if hardware not in (own.get("hardwaretypes") or [hardware]):
                wrong.append(f"{name} on {hardware}")
            if image not in (own.get("imagetypes") or [image]):
                wrong.append(f"{name} on {image}")
    for name, (least, most) in bounds(services, constraints).items():
        count = sum(name in names for _, _, names in nodes)
        if not least <= count <= most and not skip_quantities:
            wrong.append(f"{name} on {count} nodes, not {least} to {most}")
    return wrong
