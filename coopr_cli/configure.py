"""`coopr configure`, `add-services` and `sync`: shows what differs for which service on which node, asks, does it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.operation import Face, asking_options, carry_out
from coopr_cli.request import catalog_option, read_config
from coopr_cli.setting import set_option
from coopr_cli.tables import print_table
from coopr_core.errors import InvalidInput
from coopr_core.model.operations import Operation

if TYPE_CHECKING:
    from coopr_core.operations.change import PreparedChange
    from coopr_core.operations.difference import NodeDifference
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
@asking_options
def configure_command(
    cluster: str,
    config_files: tuple[str, ...],
    settings: tuple[str, ...],
    replace_config: bool,
    restart: bool,
    everything: bool,
    **options: Any,
) -> None:
    """Change the config of CLUSTER: show what differs on each node, ask, and configure the services that read it."""
    config = read_config(config_files, settings)
    if config is None and not everything:
        raise InvalidInput("there is nothing to configure", hint="give --config FILE, --set KEY=VALUE or --all")
    mode = "replace" if replace_config else "merge"
    parameters = {"config": config, "config_mode": mode, "restart": restart, "everything": everything}
    carry_out(Operation.CLUSTER_CONFIGURE.verb, cluster, parameters, DIFFERENCES, **options)


@click.command("add-services")
@click.argument("cluster")
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@catalog_option
@asking_options
def add_services_command(cluster: str, services: tuple[str, ...], catalog: tuple[str, ...], **options: Any) -> None:
    """Put more services on the nodes of CLUSTER, on as many as its template allows."""
    parameters = {"services": list(services), "catalog": list(catalog)}
    face = replace(DIFFERENCES, show=_show_new)
    carry_out(Operation.ADD_SERVICES.verb, cluster, parameters, face, **options)


@click.command("sync")
@click.argument("cluster")
@catalog_option
@click.option("--restart/--no-restart", default=True, help="Restart what takes something new (default), or do not.")
@asking_options
def sync_command(cluster: str, catalog: tuple[str, ...], restart: bool, **options: Any) -> None:
    """Bring CLUSTER to today's version of its template, services and config; no node is added or moved."""
    parameters = {"catalog": list(catalog), "restart": restart}
    carry_out(Operation.SYNC_TEMPLATE.verb, cluster, parameters, DIFFERENCES, **options)


def _show_new(store: Store, prepared: PreparedChange) -> None:
    """Print which services come to which node, then what that makes different."""
    before = {node.number: set(node.services) for node in store.layout(prepared.cluster.id).nodes}
    rows = [
        (node.number, node.host_name, ", ".join(new))
        for node in prepared.layout.nodes
        if (new := sorted(set(node.services) - before[node.number]))
    ]
    print_table((">node", "host name", "new services"), rows, wrap=("new services",))
    show_differences(store, prepared)


def show_differences(_store: Store, prepared: PreparedChange) -> None:
    """Print what differs for which services on which nodes, and how many tasks that makes."""
    for difference in prepared.differences:
        _show(difference)
    tasks, nodes = len(prepared.plan), len(prepared.plan.nodes)
    click.echo(f"{tasks} tasks on {nodes} nodes." if tasks else "No service reads what changes: it is only recorded.")


def _show(difference: NodeDifference) -> None:
    """Print what differs for some nodes, and for which of their services."""
    hosts = difference.host_names
    shown = ", ".join(hosts) if len(hosts) <= 4 else f"{hosts[0]} ... {hosts[-1]} ({len(hosts)} nodes)"
    click.secho(f"{shown}: {', '.join(difference.services) or 'no service is concerned'}", bold=True)
    for line in difference.lines or ("(new files or actions, the same config)",):
        click.secho(f"  {line}", fg=STYLES.get(line[:1]))


DIFFERENCES = Face(
    show=show_differences,
    data=lambda prepared: {"differences": prepared.to_json()["differences"]},
    done=lambda prepared, summary: f"Cluster {prepared.cluster.name} is {summary['state']}.",
)
"""Shows what differs in the config."""
