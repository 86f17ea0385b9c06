"""`coopr start`, `stop` and `restart`: the services of a cluster, in dependency order over all nodes, or rolling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coopr_cli.operation import Face, carry_out
from coopr_cli.output import output_option
from coopr_cli.run_options import run_options
from coopr_core.model.operations import Operation

if TYPE_CHECKING:
    from coopr_core.operations.change import PreparedChange

F = TypeVar("F", bound=Callable[..., Any])

PAST = {
    Operation.START_SERVICES: "started",
    Operation.STOP_SERVICES: "stopped",
    Operation.RESTART_SERVICES: "restarted",
}


def service_options(command: F) -> F:
    """Add what the three commands share: cluster, services, rolling."""
    for option in reversed(
        [
            click.argument("cluster"),
            click.argument("services", nargs=-1, metavar="[SERVICE...]"),
            click.option("--rolling", is_flag=True, help="A few nodes at a time; the named services alone."),
            click.option(
                "--batch", type=click.IntRange(1), default=None, help="Nodes at a time, when rolling (default: 1)."
            ),
            run_options,
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
    _change(Operation.START_SERVICES, cluster, services, **options)


@click.command("stop")
@service_options
def stop_command(cluster: str, services: tuple[str, ...], **options: Any) -> None:
    """Stop services (all, when none is named) on all nodes of CLUSTER, and first what depends on them."""
    _change(Operation.STOP_SERVICES, cluster, services, **options)


@click.command("restart")
@service_options
def restart_command(cluster: str, services: tuple[str, ...], **options: Any) -> None:
    """Restart services (all, when none is named) of CLUSTER, with what depends on them.

    With --rolling the named services restart on a few nodes at a time while the others serve; each batch waits until
    the services on the one before say that they are well. The first failure ends it and leaves the rest running.
    """
    _change(Operation.RESTART_SERVICES, cluster, services, **options)


def _change(
    operation: Operation, cluster: str, services: tuple[str, ...], *, rolling: bool, batch: int | None, **options: Any
) -> None:
    parameters = {
        "services": list(services) or None,
        "rolling": rolling or batch is not None,
        "batch": batch or 1,
    }
    carry_out(operation.verb, cluster, parameters, _FACE, **options)


def _done(prepared: PreparedChange, summary: dict[str, Any]) -> str:
    what = ", ".join(sorted({task.service for task in prepared.plan.tasks})) or "nothing"
    return f"Cluster {summary['name']} is {summary['state']}: {what} {PAST[prepared.operation]}."


_FACE = Face(show=lambda store, prepared: None, data=lambda prepared: {}, done=_done)
