"""`coopr create` and `coopr apply`: show the layout, ask, run the flow, print where to look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.failure import failure_options, tell_given_up
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data
from coopr_cli.plan import show_layout
from coopr_cli.request import free_name, gather, request_options, warn_of_other_layout
from coopr_cli.run_options import run_options
from coopr_cli.vault import check_blocks
from coopr_core.model.operations import Operation
from coopr_core.model.policies import FailurePolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coopr_core.operations.create import Preparation
    from coopr_core.store import Store


@click.command("create")
@click.argument("name", default="")
@request_options
@click.option("--lease", help="How long the cluster may live, e.g. 2h or 7d (default: the template's).")
@run_options
@failure_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def create_command(
    name: str,
    output: str,
    yes: bool,
    max_concurrency: int | None,
    schedule: str | None,
    on_failure: Any,
    min_nodes: int | None,
    **options: Any,
) -> None:
    """Create a cluster. NAME defaults to the name in the file --from names, else to the template's and a number."""
    from coopr_core.operations.create import prepare_create
    from coopr_core.store import Store

    policy = FailurePolicy.of(on_failure, min_nodes)
    wanted = gather(options, name)
    with Store.open() as store:
        name = name or free_name(store, wanted)
        prepared = prepare_create(wanted.request(name), catalog=wanted.catalog, store=store)
        warn_of_other_layout(wanted, prepared.layout)
        check_blocks(prepared)
        if output == "table" and not yes:
            show_layout(prepared.layout)
        confirm(f"Create cluster {name} with {len(prepared.layout.nodes)} nodes?", yes=yes)
        run = {"schedule": schedule, "max_concurrency": max_concurrency}
        failure = {"on_failure": policy.on_failure, "min_nodes": min_nodes}
        _create(store, {**_parameters(prepared, wanted.catalog), **run, **failure}, output)


@click.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@run_options
@output_option
def apply_command(file: Path, output: str, max_concurrency: int | None, schedule: str | None) -> None:
    """Run exactly the plan saved in FILE by 'coopr plan -o'; asks nothing, refuses when the world has changed."""
    from coopr_core.operations.plan_file import check_plan, load_plan
    from coopr_core.store import Store

    saved = load_plan(file)
    with Store.open() as store:
        prepared = check_plan(saved, store)
        if output == "table":
            show_layout(prepared.layout)
        run = {"schedule": schedule, "max_concurrency": max_concurrency}
        _create(store, {**_parameters(prepared, saved.catalog), **run}, output)


def _parameters(prepared: Preparation, catalog: Sequence[str]) -> dict[str, Any]:
    """Return what the flow is given to do just what was prepared."""
    request = prepared.request.model_dump(exclude_defaults=True)
    return {**request, "catalog": list(catalog), "confirmed": prepared.digest}


def _create(store: Store, parameters: dict[str, Any], output: str) -> None:
    name = parameters["name"]

    def flow() -> Any:
        from flows import create_cluster

        return create_cluster(**{key: value for key, value in parameters.items() if value is not None})

    summary = run_flow(store, name, Operation.CLUSTER_CREATE, flow, quiet=output != "table")
    tell_given_up(store, summary["job"])
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
