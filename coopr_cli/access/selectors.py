"""Which nodes of a cluster a command is about: by number or host name, by service, or those that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.names import dns_form
from coopr_core.model.states import TaskState
from coopr_core.suggestions import among, did_you_mean
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.store import Store

F = TypeVar("F", bound=Callable[..., Any])

UNDONE = (TaskState.FAILED, TaskState.INTERRUPTED)
"""The states of a task that did not do what it should."""


def selector_options(command: F) -> F:
    """Add ``--node``, ``--service`` and ``--failed``, passed on as ``nodes``, ``services`` and ``failed``."""
    for option in (
        click.option("--failed", is_flag=True, help="Only nodes on which a task of the last job failed."),
        click.option("--service", "services", multiple=True, help="Only nodes with this service; may be repeated."),
        click.option("--node", "nodes", multiple=True, help="Only this node (number or host name); may be repeated."),
    ):
        command = option(command)
    return command


def select(
    store: Store,
    cluster: ClusterRecord,
    *,
    nodes: Sequence[str] = (),
    services: Sequence[str] = (),
    failed: bool = False,
) -> list[NodeRecord]:
    """Return the nodes that fit all that is given (any node, any of the services), in number order; else all.

    Raises ``NotFound`` for a node or service the cluster does not have, ``InvalidInput`` when no node fits.
    """
    known = store.nodes(cluster.id)
    services = [composed(service) for service in services]
    named = {node.number for name in nodes for node in matching(cluster, known, name)}
    for service in services:
        if not any(service in node.services for node in known):
            placed = {name for node in known for name in node.services}
            raise NotFound(
                f"no node of cluster {cluster.name} has service {service}", hint=among(service, placed, "its services")
            )
    troubled = failed_nodes(store, cluster) if failed else set()
    chosen = [
        node
        for node in known
        if (not nodes or node.number in named)
        and (not services or set(services) & set(node.services))
        and (not failed or node.number in troubled)
    ]
    if not chosen and failed and not troubled:
        raise InvalidInput(f"no task of cluster {cluster.name}'s last job failed", hint="leave --failed out")
    if not chosen:
        raise InvalidInput(f"no node of cluster {cluster.name} fits all of what was asked for")
    return chosen


def matching(cluster: ClusterRecord, nodes: Sequence[NodeRecord], name: str) -> list[NodeRecord]:
    """Return the nodes called ``name``: a number or a host name, short or whole. Raises ``NotFound``."""
    asked = {name, dns_form(name)}
    found = [node for node in nodes if asked & {str(node.number), node.host_name, short_name(node)}]
    if not found:
        known = ", ".join(str(node.number) for node in nodes)
        meant = did_you_mean(name, map(short_name, nodes))
        raise NotFound(f"cluster {cluster.name} has no node {name!r}", hint=f"{meant} its nodes: {known}".lstrip())
    return found


def failed_nodes(store: Store, cluster: ClusterRecord) -> set[int]:
    """Return the nodes on which a task of the cluster's last job did not succeed."""
    if cluster.last_job is None:
        return set()
    return {task.node for state in UNDONE for task in store.tasks(cluster.last_job, state=state)}


def short_name(node: NodeRecord) -> str:
    """Return the node's host name without its domain."""
    return node.host_name.partition(".")[0]
