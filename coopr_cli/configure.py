"""`coopr configure`, `add-services` and `sync`: shows what differs for which service on which node, asks, does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data
from coopr_cli.request import catalog_option, read_config
from coopr_cli.setting import set_option
from coopr_cli.tables import print_table
from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from coopr_core.operations.change import NodeDifference, PreparedChange
    from coopr_core.store import Store

STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command("configure")
@click.argument("cluster")
@click.option(
    "--config",
    "config_files",
    multiple=True,
    metavar="FILE",
    help="Config (YAML or JSON) laid over the cluster's; may be repeated.",
)
@set_option
@click.option("--replace-config", is_flag=True, help="Put the config in place of the template's, do not merge.")
@click.option("--restart/--no-restart", default=True, help="Restart what takes new config (default), or do not.")
@click.option("--all", "everything", is_flag=True, help="Configure all services, whether anything changes or not.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def configure_command(
    cluster: str,
    config_files: tuple[str, ...],
    settings: tuple[str, ...],
    replace_config: bool,
    restart: bool,
    everything: bool,
    yes: bool,
    output: str,
) -> None:
    """Change the config of CLUSTER: show what differs on each node, ask, and configure the services that read it."""
    from coopr_core.operations.services import prepare_configure
    from coopr_core.store import Store

    config = read_config(config_files, settings)
    if config is None and not everything:
        raise InvalidInput("there is nothing to configure", hint="give --config FILE, --set KEY=VALUE or --all")
    mode: Any = "replace" if replace_config else "merge"
    with Store.open() as store:
        prepared = prepare_configure(store, cluster, config, mode=mode, restart=restart, everything=everything)
        digest = prepared.digest

        def flow() -> Any:
            from flows import configure_cluster

            return configure_cluster(
                prepared.cluster.id, config, config_mode=mode, restart=restart, everything=everything, confirmed=digest
            )

        _do(store, prepared, flow, f"Configure cluster {prepared.cluster.name}", yes=yes, output=output)


@click.command("add-services")
@click.argument("cluster")
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@catalog_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def add_services_command(
    cluster: str, services: tuple[str, ...], catalog: tuple[str, ...], yes: bool, output: str
) -> None:
    """Put more services on the nodes of CLUSTER, on as many as its template allows."""
    from coopr_core.operations.services import prepare_add_services
    from coopr_core.store import Store

    with Store.open() as store:
        prepared = prepare_add_services(store, cluster, services, catalog=list(catalog))
        digest = prepared.digest
        before = {node.number: set(node.services) for node in store.layout(prepared.cluster.id).nodes}

        def flow() -> Any:
            from flows import add_services

            return add_services(prepared.cluster.id, list(services), catalog=list(catalog), confirmed=digest)

        if output == "table" and not prepared.nothing_to_do:
            rows = [
                (node.number, node.host_name, ", ".join(new))
                for node in prepared.layout.nodes
                if (new := sorted(set(node.services) - before[node.number]))
            ]
            print_table((">node", "host name", "new services"), rows, wrap=("new services",))
        _do(store, prepared, flow, f"Add services to cluster {prepared.cluster.name}", yes=yes, output=output)


@click.command("sync")
@click.argument("cluster")
@catalog_option
@click.option("--restart/--no-restart", default=True, help="Restart what takes something new (default), or do not.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def sync_command(cluster: str, catalog: tuple[str, ...], restart: bool, yes: bool, output: str) -> None:
    """Bring CLUSTER to today's version of its template, services and config; no node is added or moved."""
    from coopr_core.operations.services import prepare_sync
    from coopr_core.store import Store

    with Store.open() as store:
        prepared = prepare_sync(store, cluster, catalog=list(catalog), restart=restart)
        digest = prepared.digest

        def flow() -> Any:
            from flows import sync_cluster

            return sync_cluster(prepared.cluster.id, catalog=list(catalog), restart=restart, confirmed=digest)

        _do(store, prepared, flow, f"Sync cluster {prepared.cluster.name}", yes=yes, output=output)


def _do(
    store: Store, prepared: PreparedChange, flow: Callable[[], Any], question: str, *, yes: bool, output: str
) -> None:
    """Show what a change would do, ask, and do it; nothing is asked or run when there is nothing to do."""
    name = prepared.cluster.name
    if prepared.nothing_to_do:
        if output == "table":
            click.echo(f"Cluster {name} is as it should be: nothing to do.")
        else:
            known = {"cluster_id": prepared.cluster.id, "name": name, "state": prepared.cluster.state, "job": ""}
            print_data({**known, "differences": []}, output)
        return
    if output == "table":
        for difference in prepared.differences:
            _show(difference)
        tasks = len(prepared.plan)
        nodes = len(prepared.plan.nodes)
        click.echo(
            f"{tasks} tasks on {nodes} nodes." if tasks else "No service reads what changes: it is only recorded."
        )
    confirm(f"{question}?", yes=yes)
    summary = run_flow(store, prepared.cluster.id, prepared.operation, flow, quiet=output != "table")
    if output != "table":
        print_data({**summary, "differences": prepared.to_json()["differences"]}, output)
        return
    click.echo(f"Cluster {name} is {summary['state']}.")


def _show(difference: NodeDifference) -> None:
    """Print what differs for some nodes, and for which of their services."""
    hosts = difference.host_names
    shown = ", ".join(hosts) if len(hosts) <= 4 else f"{hosts[0]} ... {hosts[-1]} ({len(hosts)} nodes)"
    click.secho(f"{shown}: {', '.join(difference.services) or 'no service is concerned'}", bold=True)
    for line in difference.lines or ("(new files or actions, the same config)",):
        click.secho(f"  {line}", fg=STYLES.get(line[:1]))
