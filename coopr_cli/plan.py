"""`coopr plan`: the layout and the stages a cluster would get, before anything is made or paid."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.output import output_option, print_data, print_table
from coopr_cli.request import gather, request_options

if TYPE_CHECKING:
    from flows.preparation import Preparation

    from coopr_core.cluster.layout import ClusterLayout, Node
    from coopr_core.planner import Plan


@click.command("plan")
@click.argument("name", default="")
@request_options
@output_option
def plan_command(name: str, output: str, **options: Any) -> None:
    """Show the layout and the stages that `coopr create` with the same options would run. Changes nothing."""
    from flows.preparation import prepare_create

    wanted = gather(options)
    prepared = prepare_create(wanted.values(name or wanted.template), catalog=wanted.catalog, strict=False)
    if output == "table":
        show(prepared)
    else:
        print_data(prepared.to_json(), output)


def show(prepared: Preparation) -> None:
    """Print layout, stages and totals for a person; warnings go to stderr."""
    show_layout(prepared.layout)
    click.echo()
    show_stages(prepared.plan, prepared.layout)
    click.echo()
    click.echo(f"Plan: {len(prepared.layout.nodes)} to add, 0 to change, 0 to destroy.{_price(prepared.layout)}")
    for problem in prepared.problems:
        click.secho("Warning: ", nl=False, err=True, fg="yellow")
        click.echo(str(problem), err=True)


def show_layout(layout: ClusterLayout) -> None:
    """Print the nodes, those alike in one row."""
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in layout.nodes:
        groups.setdefault((node.hardware_type, node.image_type, node.zone, node.services), []).append(node)
    rows = [
        (len(nodes), _numbers(nodes), nodes[0].hardware_type, nodes[0].image_type, ", ".join(nodes[0].services))
        for nodes in groups.values()
    ]
    heading = f"Layout of {layout.template} on {layout.provider}: {len(layout.nodes)} nodes"
    print_table((">nodes", "numbers", "hardware type", "image type", "services"), rows, title=heading)


def show_stages(plan: Plan, layout: ClusterLayout) -> None:
    """Print the stages, the tasks of one action and service in one row with their nodes."""
    names = {node.number: node.host_name.split(".")[0] for node in layout.nodes}
    rows = []
    for number, stage in enumerate(plan.stages, 1):
        nodes: dict[tuple[str, str], list[str]] = {}
        for task in stage:
            nodes.setdefault((task.action, task.service), []).append(names[task.node])
        for position, ((action, service), hosts) in enumerate(nodes.items()):
            rows.append(("" if position else number, action, service, len(hosts), _few(hosts)))
    actions = Counter(task.action for task in plan.tasks)
    heading = f"{len(plan.tasks)} tasks in {len(plan.stages)} stages"
    print_table((">stage", "action", "service", ">tasks", "nodes"), rows, title=heading)
    click.echo("  ".join(f"{action} {count}" for action, count in actions.items()))


def _numbers(nodes: list[Node]) -> str:
    first, last = nodes[0].number, nodes[-1].number
    if len(nodes) == 1:
        return str(first)
    return f"{first}-{last}" if last - first + 1 == len(nodes) else _few([str(node.number) for node in nodes])


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} ... {names[-1]}"


def _price(layout: ClusterLayout) -> str:
    prices = [node.price for node in layout.nodes]
    known = [price for price in prices if price is not None]
    if not known:
        return ""
    unknown = len(prices) - len(known)
    return f" {sum(known):.3f} per hour" + (f" ({unknown} nodes without a price)." if unknown else ".")
