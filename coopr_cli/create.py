"""`coopr create`: shows the layout, asks, runs the flow, prints where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data
from coopr_cli.plan import show_layout
from coopr_cli.request import gather, request_options

if TYPE_CHECKING:
    from coopr_core.store import Store


@click.command("create")
@click.argument("name", default="")
@request_options
@click.option("--lease", help="How long the cluster may live, e.g. 2h or 7d (default: the template's).")
@click.option("--max-concurrency", type=click.IntRange(1, 256), default=None, help="Tasks at a time (default: 16).")
@click.option(
    "--schedule",
    type=click.Choice(["stages", "dataflow"]),
    default="stages",
    help="Run stage after stage, or each task as soon as what it depends on is done.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def create_command(
    name: str, output: str, yes: bool, max_concurrency: int | None, schedule: str, **options: Any
) -> None:
    """Create a cluster. NAME defaults to the template's name and a number."""
    from flows.preparation import prepare_create

    from coopr_core.store import Store

    wanted = gather(options)
    with Store.open() as store:
        name = name or _free_name(store, wanted.template)
        prepared = prepare_create(wanted.values(name), catalog=wanted.catalog, store=store)
        if output == "table" and not yes:
            show_layout(prepared.layout)
        confirm(f"Create cluster {name} with {len(prepared.layout.nodes)} nodes?", yes=yes)

        def flow() -> Any:
            from flows import create_cluster

            values = {key: value for key, value in wanted.values(name).items() if value is not None}
            limits = {} if max_concurrency is None else {"max_concurrency": max_concurrency}
            return create_cluster(**values, catalog=list(wanted.catalog), schedule=schedule, **limits)

        summary = run_flow(store, name, "CLUSTER_CREATE", flow, quiet=output != "table")
    if output != "table":
        print_data(summary, output)
        return
    click.echo(f"Cluster {name} ({summary['cluster_id']}) is {summary['state']}: {len(summary['nodes'])} nodes.")
    for link in summary["links"]:
        click.echo(f"  {link['label']}: {link['url']}")
    click.echo(f"  Prefect: {summary['flow_run_url']}")
    click.echo(
        f"Look at it with 'coopr show {name}', log in with 'coopr ssh {name}', remove it with 'coopr delete {name}'."
    )


def _free_name(store: Store, template: str) -> str:
    taken = {cluster.name for cluster in store.clusters()}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{template}-{number}") not in taken)
