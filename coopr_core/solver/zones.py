"""Which availability zone each node goes to, so that services that ask for ``spread`` are evenly over all zones.

Evenly: no zone has two more nodes of the service than another. Nodes are dealt out one by one to the zone where their
spread services are rarest; where that does not come out even for every service, an integer program finds a way or
proves that this layout has none. Off unless a chosen service asks for it and the provider has several zones. Cost:
nodes times zones times spread services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coopr_core.catalog.entities import Provider
from coopr_core.model.layout import Node


def zones_of(provider: Provider) -> tuple[str, ...]:
    """Return the provider's zones: ``zones`` of its provisioner fields, a list or text with commas."""
    given = provider.provisioner.get("zones") or ()
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(text for part in parts if (text := str(part).strip())))


def spread_nodes(
    nodes: Sequence[Node], spread: Sequence[str], zones: Sequence[str], present: Sequence[Node] = ()
) -> list[Node] | None:
    """Return ``nodes`` with their zones; None when these nodes cannot be spread evenly.

    With nodes already ``present`` their zones stay, and the new nodes make it as even as they can.
    """
    counts = {zone: Counter[str]() for zone in zones}
    for node in present:
        if node.zone in counts:
            counts[node.zone].update([*(name for name in spread if name in node.services), ""])
    dealt = []
    for node in nodes:
        own = [name for name in spread if name in node.services]
        zone = min(
            zones,
            key=lambda zone: (sum(counts[zone][name] for name in own), counts[zone][""], zones.index(zone)),
        )
        counts[zone].update([*own, ""])
        dealt.append(node.placed(zone=zone))
    if present or all(_even([counts[zone][name] for zone in zones]) for name in spread):
        return dealt
    return _exactly(nodes, spread, zones)


def _even(counts: Sequence[int]) -> bool:
    return max(counts) - min(counts) <= 1


def _exactly(nodes: Sequence[Node], spread: Sequence[str], zones: Sequence[str]) -> list[Node] | None:
    from coopr_core.solver.search.programs import IntegerProgram

    program = IntegerProgram()
    kinds = Counter(tuple(name for name in spread if name in node.services) for node in nodes)
    columns = {kind: [program.column() for _ in zones] for kind in kinds}
    for kind, count in kinds.items():
        program.row(dict.fromkeys(columns[kind], 1.0), least=count, most=count)
    for name in spread:
        total = sum(count for kind, count in kinds.items() if name in kind)
        for position in range(len(zones)):
            terms = {columns[kind][position]: 1.0 for kind in kinds if name in kind}
            program.row(terms, least=total // len(zones), most=-(-total // len(zones)))
    solution = program.solve()
    if solution is None:
        return None
    left = {kind: {zone: solution[column] for zone, column in zip(zones, columns[kind], strict=True)} for kind in kinds}
    dealt = []
    for node in nodes:
        room = left[tuple(name for name in spread if name in node.services)]
        zone = max(zones, key=lambda zone: (room[zone], -zones.index(zone)))
        room[zone] -= 1
        dealt.append(node.placed(zone=zone))
    return dealt
