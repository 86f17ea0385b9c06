"""`coopr scale` and `coopr replace`: show which nodes come, change and go, ask, do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.concurrency import concurrency_option
from coopr_cli.confirm import confirm
from coopr_cli.failure import failure_options, tell_given_up
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data
from coopr_cli.request import catalog_option
from coopr_cli.tables import print_table
from coopr_core.errors import InvalidInput
from coopr_core.model.policies import FailurePolicy

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
@concurrency_option()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def scale_command(
    cluster: str,
    counts: tuple[str, ...],
    nodes: int | None,
    catalog: tuple[str, ...],
    on_failure: Any,
    min_nodes: int | None,
    max_concurrency: int | None,
    yes: bool,
    output: str,
) -> None:
    """Scale CLUSTER to a number of nodes, or to so many nodes with a service (webapp-app=5).

    Nodes that stay are not moved. Nodes that leave are drained: their services stop and are removed, then the machine
    is deleted.
    """
    from coopr_core.operations.scale import prepare_scale
    from coopr_core.store import Store

    policy = FailurePolicy.of(on_failure, min_nodes)
    wanted = _counts(counts)
    with Store.open() as store:
        prepared = prepare_scale(store, cluster, size=nodes, counts=wanted, catalog=list(catalog), policy=policy)
        digest = prepared.digest

        def flow() -> Any:
            from flows import scale_cluster

            return scale_cluster(
                prepared.cluster.id,
                size=nodes,
                counts=wanted or None,
                catalog=list(catalog),
                on_failure=on_failure,
                min_nodes=min_nodes,
                max_concurrency=max_concurrency,
                confirmed=digest,
            )

        _do(store, prepared, flow, f"Scale cluster {prepared.cluster.name}", yes=yes, output=output)


@click.command("replace")
@click.argument("cluster")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@catalog_option
@concurrency_option()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def replace_command(
    cluster: str, nodes: tuple[str, ...], catalog: tuple[str, ...], max_concurrency: int | None, yes: bool, output: str
) -> None:
    """Replace NODEs of CLUSTER (numbers or host names): new machines, same number, host name and services."""
    from coopr_core.operations.scale import prepare_replace
    from coopr_core.store import Store

    with Store.open() as store:
        prepared = prepare_replace(store, cluster, nodes, catalog=list(catalog))
        digest = prepared.digest

        def flow() -> Any:
            from flows import replace_nodes

            return replace_nodes(
                prepared.cluster.id,
                list(nodes),
                catalog=list(catalog),
                max_concurrency=max_concurrency,
                confirmed=digest,
            )

        _do(store, prepared, flow, f"Replace nodes of cluster {prepared.cluster.name}", yes=yes, output=output)


def _do(
    store: Store, prepared: PreparedChange, flow: Callable[[], Any], question: str, *, yes: bool, output: str
) -> None:
    name, changes = prepared.cluster.name, prepared.plan.changes._asdict()
    if prepared.nothing_to_do:
        if output == "table":
            click.echo(f"Cluster {name} is as it should be: nothing to do.")
        else:
            known = {"cluster_id": prepared.cluster.id, "name": name, "state": prepared.cluster.state, "job": ""}
            print_data({**known, "changes": changes}, output)
        return
    if output == "table":
        _show(store, prepared)
    confirm(f"{question}?", yes=yes)
    summary = run_flow(store, prepared.cluster.id, prepared.operation, flow, quiet=output != "table")
    tell_given_up(store, summary["job"])
    if output != "table":
        print_data({**summary, "changes": changes}, output)
        return
    click.echo(f"Cluster {name} is {summary['state']}: {len(summary['nodes'])} nodes.")


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
    """What becomes of a node: ``add``, ``destroy``, ``replace``, or which of its services adapt, and how."""
    tasks = plan.tasks_of(number)
    actions = {task.action for task in tasks}
    if "CREATE" in actions:
        return "replace" if "DELETE" in actions else "add"
    if "DELETE" in actions:
        return "destroy"
    restarting = {task.service for task in tasks if task.action == "START"}
    reloading = {task.service for task in tasks if task.action == "CONFIGURE"} - restarting
    parts = [
        f"{verb} {', '.join(sorted(names))}"
        for verb, names in (("restart", restarting), ("configure", reloading))
        if names
    ]
    return "; ".join(parts) or "change"


def _counts(texts: tuple[str, ...]) -> dict[str, int]:
    """``webapp-app=5`` -> {"webapp-app": 5}."""
    counts = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not (equals and name and number.isdecimal() and number.isascii()):
            raise InvalidInput(f"{text!r} is not SERVICE=COUNT", hint="for example: coopr scale CLUSTER webapp-app=5")
        counts[name] = int(number)
    return counts
