"""Why nothing fits: a minimal set of clashing constraints, and the single changes that would help.

The set is found by QuickXplain (Junker 2004): it is minimal because every constraint in it was seen to be needed, and
it asks about as many questions as the set is large, times the logarithm of all constraints. A single change that
helps must touch every clashing set, so only constraints of the set found are tried: a smaller minimum or a larger
maximum (the nearest that works), another hardware or image type, or the constraint left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from coopr_core.solver.constraints import UNBOUNDED, Constraint, Kind
from coopr_core.solver.unsatisfiable import Relaxation, Span, Unsatisfiable

Possible = Callable[[Sequence[Constraint]], bool]
"""Whether a layout exists under these constraints; never true for more constraints when false for fewer."""

_KEEP_FIRST = (
    Kind.SIZE, Kind.LEAST, Kind.MOST, Kind.RATIO, Kind.APART, Kind.TOGETHER, Kind.ON_HARDWARE, Kind.ON_IMAGES,
    Kind.HARDWARE, Kind.IMAGES, Kind.MOST_SIZE, Kind.LEAST_SIZE,
)  # fmt: skip


def explain(
    message: str,
    constraints: Sequence[Constraint],
    possible: Possible,
    *,
    sizes: Sequence[int] = (),
    span: Span | None = None,
    types: Sequence[str] = (),
    reason: str = "",
) -> Unsatisfiable:
    """Return the refusal that says which of ``constraints`` clash; ``types`` are the type names a change may choose."""
    ordered = sorted(constraints, key=lambda c: (_KEEP_FIRST.index(c.kind), c.remedy is not None))
    clash = minimal_clash(ordered, possible)
    relaxations = [found for c in clash if (found := relax(c, constraints, possible, types)) is not None]
    return Unsatisfiable(
        message,
        clash=[c.clash for c in clash],
        sizes=sizes,
        span=span,
        relaxations=relaxations,
        reason=reason if clash else "",
    )


def minimal_clash(constraints: Sequence[Constraint], possible: Possible) -> list[Constraint]:
    """Return a minimal impossible subset of the (impossible) constraints, preferring the earlier ones."""
    if not possible(()):
        return []

    def search(background: list[Constraint], grown: bool, rest: list[Constraint]) -> list[Constraint]:
        if grown and not possible(background):
            return []
        if len(rest) == 1:
            return rest
        half = len(rest) // 2
        first, second = rest[:half], rest[half:]
        needed_late = search([*background, *first], bool(first), second)
        needed_early = search([*background, *needed_late], bool(needed_late), first)
        return [*needed_early, *needed_late]

    return search([], False, list(constraints))


def relax(
    constraint: Constraint, constraints: Sequence[Constraint], possible: Possible, types: Sequence[str] = ()
) -> Relaxation | None:
    """Return the smallest change of ``constraint`` that alone makes a layout possible, or None."""
    others = [c for c in constraints if c is not constraint]
    if constraint.kind in (Kind.SIZE, Kind.LEAST_SIZE, Kind.MOST_SIZE) or not possible(others):
        return None
    if constraint.kind is Kind.LEAST:
        return _fewer(constraint, others, possible)
    if constraint.kind is Kind.MOST:
        if any(c.kind is Kind.RATIO and c.services == constraint.services for c in others):
            return None
        return _more(constraint, others, possible)
    if constraint.kind in (Kind.HARDWARE, Kind.IMAGES) and len(constraint.values) == 1:
        for name in types:
            if name not in constraint.values and possible([*others, replace(constraint, values=(name,))]):
                return Relaxation(constraint.clash, name)
    return Relaxation(constraint.clash)


def _fewer(constraint: Constraint, others: list[Constraint], possible: Possible) -> Relaxation:
    if constraint.remedy:
        return Relaxation(constraint.remedy, 0)
    works, fails = 0, constraint.number
    while fails - works > 1:
        middle = (works + fails) // 2
        if possible([*others, replace(constraint, number=middle)]):
            works = middle
        else:
            fails = middle
    return Relaxation(constraint.clash, works)


def _more(constraint: Constraint, others: list[Constraint], possible: Possible) -> Relaxation:
    fails, works = constraint.number, constraint.number + 1
    while works < UNBOUNDED and not possible([*others, replace(constraint, number=works)]):
        fails, works = works, works * 2
    while works - fails > 1:
        middle = (works + fails) // 2
        if possible([*others, replace(constraint, number=middle)]):
            works = middle
        else:
            fails = middle
    return Relaxation(constraint.clash, works)
