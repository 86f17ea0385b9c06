"""How the command prints what it read: tables for people, JSON and YAML for programs; data goes to stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import click

from coopr_cli.streams import shows
from coopr_cli.tables import want_all

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "wide", "json", "yaml")
"""How a command can print; ``wide`` is a table with nothing left out, and ``table`` to the command itself."""


def output_option(command: F) -> F:
    """Add ``-o table|wide|json|yaml`` and ``--json``; the command gets the format as ``output``."""

    def as_json(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted:
            ctx.params["output"] = "json"

    def chosen(ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
        already: str = ctx.params.get("output", "")
        return already or as_table(ctx, value)

    command = click.option(
        "--json", is_flag=True, expose_value=False, callback=as_json, is_eager=True, help="Short for -o json."
    )(command)
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        callback=chosen,
        help="How to print it; wide leaves nothing out.",
    )(command)


def as_table(ctx: click.Context, output: str) -> str:
    """Return the format that was asked for, with ``wide`` as the table it is."""
    if output == "wide":
        want_all(ctx)
        return "table"
    return output


def print_data(value: Any, output: str) -> None:
    """Print ``value`` (JSON-able) as JSON or YAML on stdout."""
    if output == "json":
        click.echo(json_text(value, indent=2))
    else:
        from coopr_core.documents.yaml_text import dump

        plain = json.loads(json.dumps(value, default=str))
        text = dump(plain)
        click.echo(text if shows(text) else dump(plain, escaped=True), nl=False)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON that stdout passes on as it is: what it would change is written as ``\\uXXXX``."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    return text if shows(text) else json.dumps(value, indent=indent, default=str)


class Timed(Protocol):
    """What starts and ends: a job, a task, an attempt."""

    @property
    def started(self) -> datetime | None:
        """When it started."""

    @property
    def ended(self) -> datetime | None:
        """When it ended."""


def seconds(work: Timed) -> float | None:
    """Return how many seconds ``work`` took, or has been taking; None when it has not started."""
    return None if work.started is None else ((work.ended or datetime.now(UTC)) - work.started).total_seconds()


def ago(moment: datetime | None) -> str:
    """How long ago, in one unit: ``42s``, ``7m``, ``3h``, ``12d``."""
    return "-" if moment is None else span((datetime.now(UTC) - moment).total_seconds())


def span(seconds: float | None) -> str:
    """Return a duration in one or two units: ``0.4s``, ``42s``, ``3m 5s``, ``2h 10m``, ``4d 3h``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}" + (f" {rest}{smaller}" if rest else "")
    return f"{whole}s"
