"""Whether a layout that exists obeys a template's constraints: checked as it stands, nothing is searched.

Promise: every constraint that does not hold is named, with the nodes it does not hold on. Where types are the
template's mere defaults they bind nobody, since they only choose for new nodes. Cost: nodes times constraints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.request import ClusterRequest
from coopr_core.solver.assembly import layout_of
from coopr_core.solver.choice import Choice, Entities, choose
from coopr_core.solver.constraints import Constraint, Kind, constraints_of
from coopr_core.solver.search.problem import quantities
from coopr_core.solver.unsatisfiable import Clash, Unsatisfiable


class Outgrown(Unsatisfiable):
    """The nodes of a cluster break constraints of its template; ``clash`` has all of them."""

    code = "layout-invalid"

    def _ways_out(self) -> str:
        return "nodes that are there never move: change the template, scale the cluster, or rebuild it"


def renewed(catalog: Entities, request: ClusterRequest, current: ClusterLayout) -> ClusterLayout:
    """Return ``current`` under today's template: the same nodes with today's services, config and links.

    Raises ``Outgrown`` with every constraint the nodes do not obey, ``NotFound`` or ``InvalidInput`` when the
    template or a service is gone, may no longer be chosen, or misses a dependency.
    """
    present = sorted({name for node in current.nodes for name in node.services})
    asked = request.model_copy(
        update={"services": None, "size": None, "provider": current.provider, "hardware_type": None, "image_type": None}
    )
    choice = choose(catalog, asked, present, len(current.nodes))
    broken = violations(choice, current.nodes)
    if broken:
        raise Outgrown(
            f"the nodes of the cluster do not obey today's template {choice.template.name}; broken are:", clash=broken
        )
    return layout_of(choice, request, current.nodes)


def violations(choice: Choice, nodes: Sequence[Node]) -> tuple[Clash, ...]:
    """Return the constraints of ``choice`` that ``nodes`` do not obey, each with what it finds instead."""
    constraints = constraints_of(choice)
    low, high = quantities(constraints, choice.services, len(nodes), {})
    used = Counter(name for node in nodes for name in node.services)
    found = []
    allowed = choice.template.compatibility.services
    alien = sorted(name for name in choice.services if allowed and name not in allowed)
    if alien:
        source = f"template {choice.template.name}"
        found.append(Clash(source, "compatibility.services", allowed, f"the cluster has {', '.join(alien)}"))
    for constraint in constraints:
        note = _broken(constraint, nodes, used, set(choice.services), low, high)
        if note:
            found.append(replace(constraint.clash, note=note))
    return tuple(found)


def _broken(
    constraint: Constraint,
    nodes: Sequence[Node],
    used: Counter[str],
    chosen: set[str],
    low: dict[str, int],
    high: dict[str, int],
) -> str:
    """Return what a constraint meets that it forbids, in words; "" when it holds."""
    name = constraint.services[0] if constraint.services else ""
    group = chosen.intersection(constraint.services)
    values = set(constraint.values)
    match constraint.kind:
        case Kind.LEAST | Kind.MOST | Kind.RATIO:
            count = used[name]
            least = low[name] if constraint.kind is Kind.RATIO else constraint.number
            fits = count <= constraint.number if constraint.kind is Kind.MOST else count >= least
            if constraint.kind is Kind.RATIO:
                fits = fits and count <= high[name]
            return "" if fits else f"{name} is on {_count(count)}"
        case Kind.LEAST_SIZE:
            return "" if len(nodes) >= constraint.number else f"the cluster has {_count(len(nodes))}"
        case Kind.MOST_SIZE:
            return "" if len(nodes) <= constraint.number else f"the cluster has {_count(len(nodes))}"
        case Kind.ON_HARDWARE:
            return _on(node for node in nodes if name in node.services and node.hardware_type not in values)
        case Kind.ON_IMAGES:
            return _on(node for node in nodes if name in node.services and node.image_type not in values)
        case Kind.HARDWARE if not constraint.path.startswith("defaults."):
            return _on(node for node in nodes if node.hardware_type not in values)
        case Kind.IMAGES if not constraint.path.startswith("defaults."):
            return _on(node for node in nodes if node.image_type not in values)
        case Kind.TOGETHER:
            return _on(node for node in nodes if 0 < len(group.intersection(node.services)) < len(group))
        case Kind.APART if constraint.services and chosen.issuperset(constraint.services):
            return _on(node for node in nodes if group <= set(node.services))
        case _:
            return ""


def _on(nodes: Iterable[Node]) -> str:
    numbers = [str(node.number) for node in nodes]
    if not numbers:
        return ""
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"not so on node{'' if len(numbers) == 1 else 's'} {', '.join(numbers[:8])}{more}"


def _count(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"
