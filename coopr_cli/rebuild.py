"""`coopr rebuild`: makes a cluster again from its request and deletes the old one once the new one is there."""

from __future__ import annotations

from typing import Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.job import run_flow
from coopr_cli.operation import asking_options, flow_of
from coopr_cli.output import print_data
from coopr_cli.plan import show_layout
from coopr_cli.request import block_options, catalog_option
from coopr_cli.vault import check_blocks
from coopr_core.model.operations import Operation


@click.command("rebuild")
@click.argument("cluster")
@click.option("--in-place", is_flag=True, help="Delete the old cluster first: no room for both is needed.")
@catalog_option
@block_options
@asking_options
def rebuild_command(
    cluster: str,
    in_place: bool,
    catalog: tuple[str, ...],
    credentials: str | None,
    ssh_key: str | None,
    yes: bool,
    output: str,
    **how: Any,
) -> None:
    """Make CLUSTER again from the same request; the old one is deleted only when the new one is ACTIVE.

    The new cluster is called NAME-next until the old one is gone, then NAME. If it cannot be made, the old one stays
    as it is.
    """
    from coopr_core.operations.rebuild import REBUILD, prepare_rebuild
    from coopr_core.store import Store

    blocks = {"credentials": credentials, "ssh_key": ssh_key}
    parameters = {"in_place": in_place, "catalog": list(catalog), **blocks}
    with Store.open() as store:
        rebuild = prepare_rebuild(store, cluster, in_place=in_place, catalog=list(catalog), **blocks)
        if rebuild.new:
            check_blocks(rebuild.new)
        add = len(rebuild.new.layout.nodes) if rebuild.new else 0
        destroy = len(store.nodes(rebuild.old.id)) if rebuild.old and not rebuild.old_is_deleted else 0
        if output == "table":
            if rebuild.new:
                show_layout(rebuild.new.layout)
            else:
                click.echo(f"{rebuild.next_name}, begun by an earlier rebuild, is finished and takes over the name.")
            click.secho(f"Plan: {add} to add, 0 to change, {destroy} to destroy.", bold=True)
        first = " (the old one first)" if in_place and destroy and rebuild.new else ""
        confirm(f"Rebuild cluster {rebuild.name}{first}?", yes=yes)
        flow = flow_of(REBUILD, rebuild.reference, parameters, how, rebuild.digest)
        beside = rebuild.new is not None and not in_place and not rebuild.old_is_deleted
        made = rebuild.name if rebuild.old_is_deleted else rebuild.reference
        watched = rebuild.next_name if beside else made
        operation = Operation.CLUSTER_CREATE if beside or rebuild.old_is_deleted else Operation.CLUSTER_DELETE
        summary = run_flow(store, watched, operation, flow, quiet=output != "table", about=rebuild.name)
        if output != "table":
            print_data(summary, output)
            return
        click.echo(f"Cluster {summary['name']} ({summary['cluster_id']}) is {summary['state']}: rebuilt.")
        for link in summary["links"]:
            click.echo(f"  {link['label']}: {link['url']}")
