"""Bringing a cluster to today's version of its template, services and config; its nodes stay as they are."""

from __future__ import annotations

from coopr_core.model import courses
from coopr_core.model.operations import Operation
from coopr_core.operations.change import PreparedChange, check_renderable
from coopr_core.operations.current import present
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.difference import differences, reached
from coopr_core.operations.soundness import refuse_unsound_services
from coopr_core.settings import absolute_folders
from coopr_core.store import Store


def prepare_sync(store: Store, cluster: str, catalog: list[str] | None = None, restart: bool = True) -> PreparedChange:
    """Bring a cluster to today's version of its template, its services and its config; no node is added or moved.

    Raises ``Unsatisfiable`` naming what today's template asks for and the nodes do not have.

    Args:
        catalog: Folders with templates and services, laid over the catalog the cluster was made from.
        restart: Restart what takes something new; otherwise services are configured while they run.
    """
    from coopr_core.planner import plan
    from coopr_core.solver import renewed

    operation = Operation.SYNC_TEMPLATE
    now = present(store, cluster, operation)
    known = now.catalog(catalog or ())
    after = renewed(known, now.request, now.layout)
    template = known.template(now.request.template)
    check_renderable(after)
    refuse_unsound_services(known, after.services.values())
    changed = reached(now, after, restart=restart)
    course = courses.RECONFIGURE if restart else courses.CONFIGURE
    return PreparedChange(
        cluster=now.cluster,
        newest=now.newest,
        operation=operation,
        plan=plan(course.name, after, changed=changed),
        layout=after,
        request=now.request,
        template=template,
        recorded=template != now.template or after != now.layout,
        differences=differences(now, after, changed),
        parameters={"restart": restart, "catalog": list(map(str, absolute_folders(catalog or ())))},
    )


SYNC = Declaration(Operation.SYNC_TEMPLATE.verb, prepare_sync, question="Sync cluster {cluster}")
