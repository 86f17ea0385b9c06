"""The option that says how many tasks of a job may run at once, the same for every command that runs a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coopr_core.settings import MOST_CONCURRENT

F = TypeVar("F", bound=Callable[..., Any])


def concurrency_option(default: str = "the setting 'max_concurrency'") -> Callable[[F], F]:
    """Gives what adds ``--max-concurrency N``; when it is not given, None is passed on: ``default`` decides."""
    return click.option(
        "--max-concurrency", type=click.IntRange(1, MOST_CONCURRENT), help=f"Tasks at a time (default: {default})."
    )
