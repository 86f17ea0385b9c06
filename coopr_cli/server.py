"""`coopr server` and `coopr deploy`: the Prefect server coopr uses, and the flows published on it."""

from __future__ import annotations

import os
import shlex

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.typed import NamingGroup
from coopr_core.errors import NotFound


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
        if server.password_file:
            click.echo(f"The page asks for the password in {server.password_file}: the whole line, once a browser.")
        if server.warning:
            click.secho("Warning: ", nl=False, err=True, fg="yellow")
            click.echo(server.warning, err=True)
    return 0 if server.running else 1


@server_command.command("stop")
def stop() -> None:
    """Stop the server that coopr started; clusters and their records stay."""
    from deployments.server import stop_server

    click.echo("Stopped." if stop_server() else "Not running.")


@server_command.command("env", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARGUMENT]...]")
def env(command: tuple[str, ...]) -> None:
    """Run COMMAND with what Prefect needs to talk to the server; without one, print that for a shell.

    For Prefect's own command, `coopr server env prefect worker start --pool POOL`, and any other program. In a shell:
    eval "$(coopr server env)". The password itself is not printed: the shell reads it from its file.
    """
    from coopr_cli.prefect_use import use_server
    from flows.server import environment

    server = use_server(told="start")
    if command:
        try:
            os.execvpe(command[0], command, os.environ)
        except OSError as error:
            raise NotFound(f"cannot run {command[0]}: {error.strerror}", hint="is it on your PATH?") from error
    for name, value in environment(server).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if server.password_file:
        click.echo(f'export PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(server.password_file))})"')


@click.command("deploy")
@click.option("--pool", default="", help="The work pool, made when it does not exist; coopr-INSTALLATION by default.")
@click.option(
    "--name",
    default="",
    help="What the deployments are called; coopr by default, coopr-INSTALLATION where another installation has that.",
)
@output_option
def deploy_command(pool: str, name: str, output: str) -> None:
    """Publish the flows as Prefect deployments on a process work pool of this installation's own."""
    from coopr_cli.prefect_use import put_talk_aside, use_server

    use_server(told="nothing" if output != "table" else "start")
    put_talk_aside()
    from deployments.publish import publish

    published = publish(pool, name)
    if output != "table":
        print_data(published, output)
        return
    for deployment in published:
        click.echo(f"Published {deployment['name']}: {deployment['url']}")
    click.echo(f"Run them with: coopr server env prefect worker start --pool {published[0]['pool']}")
