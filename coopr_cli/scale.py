"""`coopr scale` and `coopr replace`: show which nodes come, change and go, ask, do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coopr_cli.failure import failure_options
from coopr_cli.operation import Face, asking_options, carry_out
from coopr_cli.request import catalog_option
from coopr_cli.tables import print_table
from coopr_core.errors import InvalidInput
from coopr_core.model.courses import Action
from coopr_core.model.operations import Operation

if TYPE_CHECKING:
    from coopr_core.operations.change import PreparedChange
    from coopr_core.planner import Plan
    from coopr_core.store import Store


@click.command("scale")
@click.argument("cluster")
@click.argument("counts", nargs=-1, metavar="[SERVICE=COUNT]...")
@click.option("-n", "--nodes", type=click.IntRange(1), help="How many nodes the cluster shall have in all.")
@catalog_option
@failure_options
@asking_options
def scale_command(
    cluster: str,
    counts: tuple[str, ...],
    nodes: int | None,
    catalog: tuple[str, ...],
    **options: Any,
) -> None:
    """Scale CLUSTER to a number of nodes, or to so many nodes with a service (webapp-app=5).

    Nodes that stay are not moved. Nodes that leave are drained: their services stop and are removed, then the machine
    is deleted.
    """
    parameters = {
        "size": nodes,
        "counts": _counts(counts) or None,
        "catalog": list(catalog),
        "on_failure": options.pop("on_failure"),
        "min_nodes": options.pop("min_nodes"),
    }
    carry_out(Operation.SCALE.verb, cluster, parameters, NODES, **options)


@click.command("replace")
@click.argument("cluster")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@catalog_option
@asking_options
def replace_command(cluster: str, nodes: tuple[str, ...], catalog: tuple[str, ...], **options: Any) -> None:
    """Replace NODEs of CLUSTER (numbers or host names): new machines, same number, host name and services."""
    parameters = {"nodes": list(nodes), "catalog": list(catalog)}
    carry_out(Operation.REPLACE_NODES.verb, cluster, parameters, NODES, **options)


def _show(store: Store, prepared: PreparedChange) -> None:
    """Print the nodes that the plan touches and what becomes of them."""
    then = {node.number: node for node in prepared.layout.nodes}
    nodes = {node.number: node for node in store.layout(prepared.cluster.id).nodes} | then
    plan = prepared.plan
    rows = [
        (
            number,
            nodes[number].host_name,
            _fate(plan, number),
            nodes[number].hardware_type,
            ", ".join(nodes[number].services),
        )
        for number in plan.nodes
    ]
    print_table(
        (">node", "host name", "change", "hardware type", "services"),
        rows,
        wrap=("services", "change"),
        drop=["hardware type"],
    )
    add, change, destroy = plan.changes
    click.secho(f"Plan: {add} to add, {change} to change, {destroy} to destroy.", bold=True)


def _fate(plan: Plan, number: int) -> str:
    """Return what becomes of a node: ``add``, ``destroy``, ``replace``, or which of its services adapt, and how."""
    tasks = plan.tasks_of(number)
    actions = {task.action for task in tasks}
    if Action.CREATE in actions:
        return "replace" if Action.DELETE in actions else "add"
    if Action.DELETE in actions:
        return "destroy"
    restarting = {task.service for task in tasks if task.action == Action.START}
    reloading = {task.service for task in tasks if task.action == Action.CONFIGURE} - restarting
    parts = [
        f"{verb} {', '.join(sorted(names))}"
        for verb, names in (("restart", restarting), ("configure", reloading))
        if names
    ]
    return "; ".join(parts) or "change"


def _counts(texts: tuple[str, ...]) -> dict[str, int]:
    """Return {"webapp-app": 5} for ``webapp-app=5``."""
    counts = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not (equals and name and number.isdecimal() and number.isascii()):
            raise InvalidInput(f"{text!r} is not SERVICE=COUNT", hint="for example: coopr scale CLUSTER webapp-app=5")
        counts[name] = int(number)
    return counts


NODES = Face(
    show=_show,
    data=lambda prepared: {"changes": prepared.plan.changes._asdict()},
    done=lambda prepared, summary: (
        f"Cluster {prepared.cluster.name} is {summary['state']}: {len(summary['nodes'])} nodes."
    ),
)
"""Shows what becomes of which node."""
