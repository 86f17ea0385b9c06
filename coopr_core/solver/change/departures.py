"""Which nodes leave a shrinking cluster: the newest that can, and never one whose services cannot spare it.

Taking the newest node that can go, again and again, mostly reaches the number wanted, and is then the answer. Where
it does not (a new node with many services may block several older ones), each step first makes sure that enough
others can still go. Cost: nodes times services; an integer program over the kinds of nodes a step in the rare case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coopr_core.model.layout import Node


def leaving(present: Sequence[Node], count: int, spare: Counter[str]) -> set[int] | None:
    """Return the numbers of the ``count`` nodes that leave, the newest first; None when they cannot.

    ``spare`` says how many nodes each service can do without.
    """
    newest = sorted(present, key=lambda node: -node.number)
    greedy = _leave(newest, count, spare, careful=False)
    if len(greedy) == count:
        return greedy
    return _leave(newest, count, spare, careful=True) if can_leave(newest, count, spare) else None


def _leave(newest: Sequence[Node], count: int, spare: Counter[str], careful: bool) -> set[int]:
    left, gone = Counter(spare), set[int]()
    for position, node in enumerate(newest):
        if len(gone) == count:
            break
        if any(left[name] < 1 for name in node.services):
            continue
        after = left - Counter(node.services)
        if not careful or can_leave(newest[position + 1 :], count - len(gone) - 1, after):
            gone.add(node.number)
            left = after
    return gone


def can_leave(nodes: Sequence[Node], count: int, spare: Counter[str]) -> bool:
    """Whether some ``count`` of ``nodes`` can go without any service losing more nodes than it can spare."""
    if count <= 0:
        return count == 0
    from coopr_core.solver.search.programs import IntegerProgram

    kinds = Counter(node.services for node in nodes)
    program = IntegerProgram()
    columns = {kind: program.column(most=number) for kind, number in kinds.items()}
    program.row(dict.fromkeys(columns.values(), 1.0), least=count, most=count)
    for name in {name for kind in kinds for name in kind}:
        program.row({column: 1.0 for kind, column in columns.items() if name in kind}, most=spare[name])
    return program.solve() is not None
