"""Making nodes of a cluster anew: same number, host name and services, on new machines."""

from __future__ import annotations

from dataclasses import replace

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.names import dns_form
from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange
from coopr_core.operations.current import OwnEntities, Present, present, with_nodes
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.difference import reached, reloading
from coopr_core.operations.soundness import refuse_unknown_options
from coopr_core.store import Store
from coopr_core.suggestions import did_you_mean


def prepare_replace(store: Store, cluster: str, nodes: list[str], catalog: list[str] | None = None) -> PreparedChange:
    """Make nodes of a cluster anew: new machines under the same numbers and host names, with the same services.

    They are of today's flavor and image. What reads a replaced node's address adapts, but only if that turns out to be
    another one.

    Args:
        nodes: The nodes to replace, by number or host name.
        catalog: Folders with hardware and image types, laid over the catalog the cluster was made from.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    operation = Operation.REPLACE_NODES
    now = present(store, cluster, operation)
    numbers = sorted({_number(now, reference) for reference in nodes})
    if not numbers:
        raise InvalidInput("no node to replace is named", hint="name nodes by number or host name, see `coopr show`")
    entities = OwnEntities(now.catalog(catalog or ()), now.template, now.layout.services)
    request = now.request.model_copy(update={"services": None, "size": None})
    after = with_nodes(now, solve(entities, request, now.layout, replace=numbers))
    refuse_unknown_options(entities.catalog, [node for node in after.nodes if node.number in numbers], after.provider)
    then = replace(now, nodes=tuple(replace(n, machine=None) if n.number in numbers else n for n in now.nodes))
    changed = reached(now, after, then)
    others = {number: names for number, names in changed.items() if number not in numbers}
    addresses = {str(node.number): node.addresses for node in now.nodes if node.number in numbers}
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=operation,
        plan=plan(operation, after, nodes=numbers, changed=others, reloads=reloading(now, then, after, others)),
        layout=after,
        request=now.request,
        template=now.template,
        recorded=True,
        parameters={"nodes": numbers, "addresses": addresses},
    )


def _number(now: Present, reference: str) -> int:
    """Return the number of the node called so: by number, host name or its first label."""
    text = str(reference)
    asked = {text, dns_form(text)}
    for node in now.layout.nodes:
        if asked & {str(node.number), node.host_name, node.host_name.partition(".")[0]}:
            return node.number
    names = ", ".join(f"{node.number} ({node.host_name})" for node in now.layout.nodes[:8])
    meant = did_you_mean(text, (node.host_name.partition(".")[0] for node in now.layout.nodes))
    raise NotFound(f"cluster {now.cluster.name} has no node {text}", hint=f"{meant} its nodes are: {names}".lstrip())


REPLACE = Declaration(Operation.REPLACE_NODES.verb, prepare_replace, question="Replace nodes of cluster {cluster}")
