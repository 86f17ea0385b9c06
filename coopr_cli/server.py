"""`coopr server` and `coopr deploy`: the Prefect server coopr uses, and the flows published on it."""

from __future__ import annotations

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.typed import NamingGroup


@click.group("server", cls=NamingGroup)
def server_command() -> None:
    """Start, stop and inspect the Prefect server that coopr uses."""


@server_command.command("start")
@output_option
def start(output: str) -> None:
    """Start a Prefect server in the background, unless one is running or PREFECT_API_URL names one."""
    from coopr_cli.prefect_use import interrupts_told, use_server

    with interrupts_told("ending the server that was to be"):
        server = use_server(told="nothing" if output != "table" else "start")
    if output != "table":
        print_data(server.to_json(), output)
    else:
        click.echo(f"{'Started' if server.started else 'Already running'}: {server.ui_url}")


@server_command.command("status")
@output_option
def status(output: str) -> int:
    """Say which Prefect server is used and whether it answers; exit 1 when it does not."""
    from deployments.server import server_status

    server = server_status()
    if output != "table":
        print_data(server.to_json(), output)
    else:
        who = f"managed by coopr, pid {server.pid}" if server.managed else "not managed by coopr"
        click.echo(f"{'Running' if server.running else 'Not running'}: {server.ui_url or 'no server'} ({who})")
    return 0 if server.running else 1


@server_command.command("stop")
def stop() -> None:
    """Stop the server that coopr started; clusters and their records stay."""
    from deployments.server import stop_server

    click.echo("Stopped." if stop_server() else "Not running.")


@click.command("deploy")
@click.option("--pool", default="coopr", show_default=True, help="The work pool (made when it does not exist).")
@output_option
def deploy_command(pool: str, output: str) -> None:
    """Publish the flows as Prefect deployments on a process work pool."""
    from coopr_cli.prefect_use import put_talk_aside, use_server

    server = use_server(told="nothing" if output != "table" else "start")
    put_talk_aside()
    from deployments.publish import publish

    published = publish(pool)
    if output != "table":
        print_data(published, output)
        return
    for deployment in published:
        click.echo(f"Published {deployment['name']}: {deployment['url']}")
    click.echo(f"Run them with: PREFECT_API_URL={server.api_url} prefect worker start --pool {pool}")
