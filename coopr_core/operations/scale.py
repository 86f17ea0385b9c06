"""What scaling a cluster and replacing nodes of it would do, found out before anything is touched.

Nodes that stay never move. Services on them are configured where what they read changes, and restarted only where they
cannot take that while they run. The plan grows with the change and with what has to adapt to it, not with the cluster.
Never imports Prefect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.macros.rendering import Rendering, fields_differ
from coopr_core.model.names import dns_form, dns_name
from coopr_core.model.operations import Operation
from coopr_core.model.policies import FailurePolicy
from coopr_core.operations.change import PreparedChange, check_renderable, reached
from coopr_core.operations.current import OwnEntities, Present, present
from coopr_core.operations.soundness import refuse_unknown_options
from coopr_core.suggestions import did_you_mean
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.store import Store


def prepare_scale(
    store: Store,
    cluster: str,
    *,
    size: int | None = None,
    counts: Mapping[str, int] | None = None,
    catalog: Sequence[str] = (),
    policy: FailurePolicy | None = None,
) -> PreparedChange:
    """More or fewer nodes: ``size`` of them in all, or ``counts`` of them with the services named.

    Raises ``InvalidInput``, ``NotFound``, ``Unsatisfiable`` with the ways out, or what ``present`` raises.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    policy = policy or FailurePolicy()
    counts = {composed(name): count for name, count in (counts or {}).items()}
    if (size is None) == (not counts):
        raise InvalidInput(
            "a cluster is scaled to a number of nodes or to so many nodes with a service, one of the two",
            hint="for example: coopr scale CLUSTER webapp-app=5, or coopr scale CLUSTER --nodes 5",
        )
    now = present(store, cluster, Operation.SCALE)
    entities = OwnEntities(now.catalog(catalog), now.template, now.layout.services)
    request = now.request.model_copy(update={"services": None, "size": size})
    solved = solve(entities, request, now.layout, counts=counts or None)
    after = _with_nodes(now, solved)
    here = {node.number for node in now.layout.nodes}
    grows = any(node.number not in here for node in after.nodes)
    if policy.on_failure != "hold" and not grows and after.nodes != now.layout.nodes:
        raise InvalidInput(
            f"--on-failure {policy.on_failure} is about nodes that are made, and this makes none",
            hint="leave it out: nodes that could not leave are held until `coopr retry`",
        )
    check_renderable(after)
    refuse_unknown_options(entities.catalog, [node for node in after.nodes if node.number not in here], after.provider)
    changed = reached(now, after)
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=Operation.SCALE,
        plan=plan(
            "SCALE_OUT" if grows else "SCALE_IN",
            after,
            current=now.layout,
            changed=changed,
            reloads=reloading(now, now, after, changed),
        ),
        layout=after,
        request=now.request.model_copy(update={"size": len(after.nodes)}),
        template=now.template,
        recorded=after.nodes != now.layout.nodes,
        parameters={"size": size, "counts": dict(counts or {}), **policy.to_json()},
    )


def prepare_replace(
    store: Store, cluster: str, nodes: Sequence[str | int], *, catalog: Sequence[str] = ()
) -> PreparedChange:
    """Make nodes anew: same number, host name and services, on new machines of today's flavor and image.

    What reads a replaced node's address adapts, but only if that turns out to be another one.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    now = present(store, cluster, Operation.REPLACE_NODES)
    numbers = sorted({_number(now, reference) for reference in nodes})
    if not numbers:
        raise InvalidInput("no node to replace is named", hint="name nodes by number or host name, see `coopr show`")
    entities = OwnEntities(now.catalog(catalog), now.template, now.layout.services)
    request = now.request.model_copy(update={"services": None, "size": None})
    after = _with_nodes(now, solve(entities, request, now.layout, replace=numbers))
    refuse_unknown_options(entities.catalog, [node for node in after.nodes if node.number in numbers], after.provider)
    then = replace(now, nodes=tuple(replace(n, machine=None) if n.number in numbers else n for n in now.nodes))
    changed = reached(now, after, then)
    others = {number: names for number, names in changed.items() if number not in numbers}
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=Operation.REPLACE_NODES,
        plan=plan("REPLACE_NODES", after, nodes=numbers, changed=others, reloads=reloading(now, then, after, others)),
        layout=after,
        request=now.request,
        template=now.template,
        recorded=True,
        parameters={"nodes": numbers, "addresses": {str(n): _addresses(now, n) for n in numbers}},
    )


def reloading(
    now: Present, then: Present, after: ClusterLayout, changed: Mapping[int, Collection[str]]
) -> dict[int, tuple[str, ...]]:
    """Those of the services that change which take all that changes for them without a restart."""
    owner = now.cluster.owner
    old = Rendering(now.layout, now.members(now.layout), owner)
    new = Rendering(after, then.members(after), owner)
    found = {}
    for number, names in changed.items():
        taking = []
        for name in names:
            service = after.services[name]
            rest = tuple(path for path in service.config if path not in service.reloads)
            other = service.model_copy(update={"config": rest})
            stay = not fields_differ(old, new, service, number)
            if service.reloads and stay and (not rest or old.seen(other, number) == new.seen(other, number)):
                taking.append(name)
        if taking:
            found[number] = tuple(taking)
    return found


def _with_nodes(now: Present, solved: ClusterLayout) -> ClusterLayout:
    """The cluster's own layout with the nodes of ``solved``, new ones under their final host names."""
    known = {node.number: node for node in now.layout.nodes}
    suffix = now.request.dns_suffix or now.template.defaults.dnsSuffix or None
    nodes = tuple(
        node
        if node.number in known
        else replace(node, host_name=dns_name(now.request.name, now.cluster.id, node.number, suffix))
        for node in solved.nodes
    )
    return replace(now.layout, nodes=nodes)


def _number(now: Present, reference: str | int) -> int:
    """The node called so: by number, host name or its first label."""
    text = str(reference)
    asked = {text, dns_form(text)}
    for node in now.layout.nodes:
        if asked & {str(node.number), node.host_name, node.host_name.partition(".")[0]}:
            return node.number
    names = ", ".join(f"{node.number} ({node.host_name})" for node in now.layout.nodes[:8])
    meant = did_you_mean(text, (node.host_name.partition(".")[0] for node in now.layout.nodes))
    raise NotFound(f"cluster {now.cluster.name} has no node {text}", hint=f"{meant} its nodes are: {names}".lstrip())


def _addresses(now: Present, number: int) -> dict[str, Any]:
    machine = next(node.machine for node in now.nodes if node.number == number)
    return dict((machine or {}).get("addresses", {}))
