"""`coopr start`, `stop` and `restart`: the services of a cluster, in dependency order over all nodes, or rolling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coopr_cli.concurrency import concurrency_option
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data

if TYPE_CHECKING:
    from coopr_core.operations.services import Verb

F = TypeVar("F", bound=Callable[..., Any])

PAST = {"start": "started", "stop": "stopped", "restart": "restarted"}


def service_options(command: F) -> F:
    """Adds what the three commands share: cluster, services, rolling."""
    for option in reversed(
        [
            click.argument("cluster"),
            click.argument("services", nargs=-1, metavar="[SERVICE...]"),
            click.option("--rolling", is_flag=True, help="A few nodes at a time; the named services alone."),
            click.option(
                "--batch", type=click.IntRange(1), default=None, help="Nodes at a time, when rolling (default: 1)."
            ),
            concurrency_option(),
            output_option,
        ]
    ):
        command = option(command)
    return command


@click.command("start")
@service_options
def start_command(cluster: str, services: tuple[str, ...], **options: Any) -> None:
    """Start services (all, when none is named) on all nodes of CLUSTER, and first what they need.

    With --rolling each batch of nodes waits until the services on the one before say that they are well; the first
    failure ends it and leaves the rest as it is.
    """
    _change("start", cluster, services, **options)


@click.command("stop")
@service_options
def stop_command(cluster: str, services: tuple[str, ...], **options: Any) -> None:
    """Stop services (all, when none is named) on all nodes of CLUSTER, and first what depends on them."""
    _change("stop", cluster, services, **options)


@click.command("restart")
@service_options
def restart_command(cluster: str, services: tuple[str, ...], **options: Any) -> None:
    """Restart services (all, when none is named) of CLUSTER, with what depends on them.

    With --rolling the named services restart on a few nodes at a time while the others serve; each batch waits until
    the services on the one before say that they are well. The first failure ends it and leaves the rest running.
    """
    _change("restart", cluster, services, **options)


def _change(
    verb: Verb,
    cluster: str,
    services: tuple[str, ...],
    *,
    rolling: bool,
    batch: int | None,
    max_concurrency: int | None,
    output: str,
) -> None:
    from coopr_core.operations.services import prepare_services
    from coopr_core.store import Store

    rolling = rolling or batch is not None
    parameters: dict[str, Any] = {"services": list(services) or None, "rolling": rolling, "batch": batch or 1}
    parameters["max_concurrency"] = max_concurrency
    with Store.open() as store:
        prepared = prepare_services(store, cluster, verb, services, rolling=rolling, batch=batch or 1)
        parameters["confirmed"] = prepared.digest

        def flow() -> Any:
            import flows

            return getattr(flows, f"{verb}_services")(prepared.cluster.id, **parameters)

        summary = run_flow(store, prepared.cluster.id, prepared.operation, flow, quiet=output != "table")
    if output != "table":
        print_data(summary, output)
        return
    touched = sorted({task.service for task in prepared.plan.tasks})
    what = ", ".join(touched) or "nothing"
    click.echo(f"Cluster {summary['name']} is {summary['state']}: {what} {PAST[verb]}.")
