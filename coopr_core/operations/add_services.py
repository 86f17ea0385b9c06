"""Putting more services on the nodes there are, wherever the template allows them."""

from __future__ import annotations

from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange, check_renderable
from coopr_core.operations.current import OwnEntities, present
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.difference import differences, reached, reloading
from coopr_core.operations.soundness import refuse_unsound_services
from coopr_core.settings import absolute_folders
from coopr_core.store import Store
from coopr_core.text_form import composed


def prepare_add_services(
    store: Store, cluster: str, services: list[str], catalog: list[str] | None = None
) -> PreparedChange:
    """Put more services on the nodes of a cluster, wherever its template allows them.

    Args:
        services: The services to add; those that are there already are left alone.
        catalog: Folders with services, laid over the catalog the cluster was made from.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    operation = Operation.ADD_SERVICES
    now = present(store, cluster, operation)
    entities = OwnEntities(now.catalog(catalog or ()), now.template, now.layout.services)
    names = tuple(dict.fromkeys(map(composed, services)))
    asked = now.request.model_copy(update={"services": names, "size": len(now.layout.nodes)})
    after = solve(entities, asked, now.layout)
    check_renderable(after)
    refuse_unsound_services(
        entities.catalog, [service for name, service in after.services.items() if name not in now.layout.services]
    )
    placed = {name for node in after.nodes for name in node.services}
    new = placed - {name for node in now.layout.nodes for name in node.services}
    changed = reached(now, after)
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=operation,
        plan=plan(operation, after, current=now.layout, changed=changed, reloads=reloading(now, now, after, changed)),
        layout=after,
        request=now.request.model_copy(update={"services": tuple(sorted(placed))}) if new else now.request,
        template=now.template,
        recorded=bool(new),
        differences=differences(now, after, changed) if new else (),
        parameters={"services": sorted(new), "catalog": list(map(str, absolute_folders(catalog or ())))},
    )


ADD_SERVICES = Declaration(
    Operation.ADD_SERVICES.verb, prepare_add_services, question="Add services to cluster {cluster}"
)
