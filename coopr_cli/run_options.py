"""The options that say how a job runs, the same for every command that runs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coopr_core.concurrency import MOST_CONCURRENT

F = TypeVar("F", bound=Callable[..., Any])


def concurrency_option(default: str = "the setting 'max_concurrency'") -> Callable[[F], F]:
    """Return what adds ``--max-concurrency N``; when it is not given, None is passed on: ``default`` decides."""
    return click.option(
        "--max-concurrency", type=click.IntRange(1, MOST_CONCURRENT), help=f"Tasks at a time (default: {default})."
    )


def schedule_option(default: str = "the setting 'schedule'") -> Callable[[F], F]:
    """Return what adds ``--schedule``; when it is not given, None is passed on: ``default`` decides."""
    return click.option(
        "--schedule",
        type=click.Choice(["stages", "dataflow"]),
        default=None,
        help=f"Run stage after stage, or each task as soon as what it needs is done (default: {default}).",
    )


def run_options(command: F) -> F:
    """Add how many tasks of a new job run at a time, and in which schedule."""
    return schedule_option()(concurrency_option()(command))


def rerun_options(command: F) -> F:
    """Add the same for a job that goes on."""
    return schedule_option("as before")(concurrency_option("as before")(command))
