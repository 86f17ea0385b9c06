"""Giving a cluster more or fewer nodes.

Nodes that stay never move. Services on them are configured where what they read changes, and restarted only where they
cannot take that while they run. The plan grows with the change and with what has to adapt to it, not with the cluster.
"""

from __future__ import annotations

from typing import Literal

from coopr_core.errors import InvalidInput
from coopr_core.model import courses
from coopr_core.model.operations import Operation
from coopr_core.model.policies import FailurePolicy
from coopr_core.operations.change import PreparedChange, check_renderable
from coopr_core.operations.current import OwnEntities, present, with_nodes
from coopr_core.operations.declaration import Count, Declaration, Positive
from coopr_core.operations.difference import reached, reloading
from coopr_core.operations.soundness import refuse_unknown_options
from coopr_core.store import Store
from coopr_core.text_form import composed


def prepare_scale(
    store: Store,
    cluster: str,
    size: Positive | None = None,
    counts: dict[str, Count] | None = None,
    catalog: list[str] | None = None,
    on_failure: Literal["hold", "rollback", "continue"] = "hold",
    min_nodes: Positive | None = None,
) -> PreparedChange:
    """Give a cluster more or fewer nodes; what leaves is stopped, removed and deleted, what stays adapts.

    Raises ``InvalidInput``, ``NotFound``, ``Unsatisfiable`` with the ways out, or what ``present`` raises.

    Args:
        size: How many nodes it shall have; or say counts.
        counts: On how many nodes services shall be, such as webapp-app 5; or say size.
        catalog: Folders with hardware and image types, laid over the catalog the cluster was made from.
        on_failure: hold leaves what was made for a retry, rollback deletes it, continue goes on without failed nodes.
        min_nodes: With continue, how many nodes with the same services must be left.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    policy = FailurePolicy.of(on_failure, min_nodes)
    wanted = {composed(name): count for name, count in (counts or {}).items()}
    if (size is None) == (not wanted):
        raise InvalidInput(
            "a cluster is scaled to a number of nodes or to so many nodes with a service, one of the two",
            hint="for example: coopr scale CLUSTER webapp-app=5, or coopr scale CLUSTER --nodes 5",
        )
    now = present(store, cluster, Operation.SCALE)
    entities = OwnEntities(now.catalog(catalog or ()), now.template, now.layout.services)
    request = now.request.model_copy(update={"services": None, "size": size})
    after = with_nodes(now, solve(entities, request, now.layout, counts=wanted or None))
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
    course = courses.SCALE_OUT if grows else courses.SCALE_IN
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=Operation.SCALE,
        plan=plan(course.name, after, current=now.layout, changed=changed, reloads=reloading(now, now, after, changed)),
        layout=after,
        request=now.request.model_copy(update={"size": len(after.nodes)}),
        template=now.template,
        recorded=after.nodes != now.layout.nodes,
        parameters={"size": size, "counts": wanted, **policy.to_json()},
    )


SCALE = Declaration(Operation.SCALE.verb, prepare_scale, question="Scale cluster {cluster}")
