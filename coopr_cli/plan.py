"""`coopr plan`: the layout and the stages a cluster would get, before anything is made or paid."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.output import FORMATS, as_table, print_data, span
from coopr_cli.request import free_name, gather, request_options, warn_of_other_layout
from coopr_cli.tables import print_table
from coopr_core.errors import InvalidInput, told
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.errors import Problem
    from coopr_core.model.layout import ClusterLayout, Node
    from coopr_core.operations.create import Preparation
    from coopr_core.planner import Estimate, Plan
    from coopr_core.store import Store

PICTURES = (".svg", ".dot", ".mmd")


@click.command("plan")
@click.argument("name", default="")
@request_options
@click.option("--graph", type=click.Path(dir_okay=False), help="Draw the plan into this file (.svg, .dot or .mmd).")
@click.option(
    "-o", "--output", default="table", help="table, wide, json, yaml, or a file (*.plan) that 'coopr apply' runs."
)
@click.option("--json", "as_json", is_flag=True, help="Short for -o json.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when the plan has something to do, 0 when it has nothing."
)
def plan_command(
    name: str, graph: str | None, output: str, as_json: bool, detailed_exitcode: bool, **options: Any
) -> int:
    """Show the layout and the stages that `coopr create` with the same options would run. Changes nothing."""
    from coopr_core.operations.create import prepare_create
    from coopr_core.store import Store

    output = "json" if as_json else as_table(click.get_current_context(), output)
    file = _file(output)
    if graph and Path(graph).suffix not in PICTURES:
        raise InvalidInput(f"--graph {graph}: the file must end with {', '.join(PICTURES)}")
    wanted = gather(options, name)
    with Store.open() as store:
        request = wanted.request(name or free_name(store, wanted))
        prepared = prepare_create(request, catalog=wanted.catalog, strict=file is not None, numbering=store)
        estimate = past_estimate(store, prepared.plan)
    warn_of_other_layout(wanted, prepared.layout)
    if output in ("json", "yaml"):
        print_data({**prepared.to_json(), "estimate_seconds": estimate and estimate.seconds}, output)
    else:
        show(prepared, estimate)
    if graph:
        from coopr_core.planner import draw

        draw(prepared.plan, Path(graph), hosts={node.number: node.host_name for node in prepared.layout.nodes})
        click.echo(f"Drawn in {graph}", err=True)
    if file:
        from coopr_core.operations.plan_file import save_plan

        save_plan(file, prepared, wanted.catalog)
        click.echo(f"Saved in {file}; run exactly this with: coopr apply {file}", err=True)
    return 2 if detailed_exitcode and prepared.plan.tasks else 0


def past_estimate(store: Store, plan: Plan) -> Estimate | None:
    """How long the plan takes, from what its tasks took before; None when none of them ever ran."""
    from coopr_core.settings import load_settings

    settings = load_settings()
    durations = store.durations()
    known = any((task.service, task.action) in durations for task in plan.tasks)
    if not known:
        return None
    return plan.estimate(durations, concurrency=settings.max_concurrency, schedule=settings.schedule)


def show(prepared: Preparation, estimate: Estimate | None) -> None:
    """Print layout, stages and totals for a person; warnings go to stderr."""
    show_layout(prepared.layout)
    click.echo()
    show_stages(prepared.plan, prepared.layout)
    click.echo()
    path = prepared.plan.critical_path()
    click.echo(f"Critical path: {len(path)} tasks, " + " > ".join(_path_steps(path)))
    if estimate:
        unknown = f"; never run before: {len(estimate.unknown)} kinds of task" if estimate.unknown else ""
        click.echo(f"Estimate: {span(estimate.seconds)}{unknown}")
    click.secho(f"Plan: {len(prepared.layout.nodes)} to add, 0 to change, 0 to destroy.", bold=True, nl=False)
    click.echo(_price(prepared.layout))
    show_warnings(prepared.problems)


def show_warnings(problems: tuple[Problem, ...]) -> None:
    """Print warnings on stderr, a line each."""
    for _, line in told(problems):
        click.secho("Warning: ", nl=False, err=True, fg="yellow")
        click.echo(line, err=True)


def show_layout(layout: ClusterLayout) -> None:
    """Print the nodes, those alike in one row."""
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in layout.nodes:
        groups.setdefault((node.hardware_type, node.image_type, node.zone, node.price, node.services), []).append(node)
    zones = any(node.zone for node in layout.nodes)
    rows = [
        (
            len(nodes),
            _numbers(nodes),
            nodes[0].hardware_type,
            nodes[0].image_type,
            *([nodes[0].zone] if zones else []),
            "" if nodes[0].price is None else f"{nodes[0].price:.3f}",
            ", ".join(nodes[0].services),
        )
        for nodes in groups.values()
    ]
    columns = (">nodes", "numbers", "hardware type", "image type", *(["zone"] if zones else []), ">each/h", "services")
    heading = f"Layout of {layout.template} on {layout.provider}: {_count(len(layout.nodes), 'node')}"
    print_table(columns, rows, title=heading, wrap=("numbers", "services"), drop=("image type", "each/h", "zone"))


def show_stages(plan: Plan, layout: ClusterLayout) -> None:
    """Print the stages, the tasks of one action and service in one row with their nodes."""
    names = {node.number: node.host_name.split(".")[0] for node in layout.nodes}
    rows = []
    for number, stage in enumerate(plan.stages, 1):
        nodes: dict[tuple[str, str], list[str]] = {}
        for task in stage:
            nodes.setdefault((task.action, task.service), []).append(names[task.node])
        for position, ((action, service), hosts) in enumerate(nodes.items()):
            rows.append((" " if position else number, action, service, len(hosts), _few(hosts)))
    actions = Counter(task.action for task in plan.tasks)
    heading = f"{_count(len(plan.tasks), 'task')} in {_count(len(plan.stages), 'stage')}"
    print_table((">stage", "action", "service", ">tasks", "nodes"), rows, title=heading, wrap=("nodes",))
    click.echo("  ".join(f"{action} {count}" for action, count in actions.items()))


def _file(output: str) -> Path | None:
    if output in FORMATS:
        return None
    if not output.endswith(".plan"):
        raise InvalidInput(
            f"-o {output}: not one of {', '.join(FORMATS)}, nor a file that ends with .plan",
            hint=did_you_mean(output, FORMATS, form="{}"),
        )
    return Path(output)


def _path_steps(path: tuple[Any, ...]) -> list[str]:
    steps = [f"{task.action} {task.service}".strip() for task in path]
    return list(dict.fromkeys(steps))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


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
    return f" {sum(known):.3f} per hour" + (f" ({_count(unknown, 'node')} without a price)." if unknown else ".")
