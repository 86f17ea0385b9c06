"""The options that say what becomes of a job when nodes cannot be made, and telling what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coopr_core.store import Store


def failure_options(command: Any) -> Any:
    """Add ``--on-failure`` and ``--min-nodes``: what becomes of the job when a node cannot be made."""
    command = click.option(
        "--min-nodes",
        type=click.IntRange(1),
        default=None,
        help="With 'continue': nodes of a layout that are enough (default: 1).",
    )(command)
    return click.option(
        "--on-failure",
        type=click.Choice(["hold", "rollback", "continue"]),
        default="hold",
        help="When a node fails: hold everything for a retry, delete what was made, or continue without the node.",
    )(command)


def tell_given_up(store: Store, job: str) -> None:
    """Say on stderr what a job that has succeeded went on without."""
    message = store.job(job).message if job else ""
    if message:
        click.secho("Warning: ", nl=False, err=True, fg="yellow")
        click.echo(message, err=True)
