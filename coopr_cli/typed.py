"""What was typed, looked at alike for every command: near names for what there is not, and nothing given empty.

Click itself knows no near names of commands and choices, and takes ``""`` for any text: the empty text is what a
shell makes of a variable that is not set, and a default in its place would be a guess at what to work on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from coopr_core.suggestions import did_you_mean

LONGEST_WAIT = 366 * 86400.0
"""Seconds that anything can be waited for."""

Callback = Callable[[click.Context, click.Parameter, Any], Any]


class NamingGroup(click.Group):
    """A group that says which of its commands may have been meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with near names when there is no such command."""
        if args and not args[0].startswith("-") and not self.has_command(ctx, args[0]):
            meant = did_you_mean(args[0], self.list_commands(ctx), form="{}")
            ctx.fail(f"no such command {args[0]!r}" + (f"; {meant}" if meant else ""))
        return super().resolve_command(ctx, args)

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Whether there is a command called ``name``."""
        return name in self.list_commands(ctx)


class NamingChoice(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2 only
    """One of some words, with the near ones named when it is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        try:
            return super().convert(value, param, ctx)
        except click.UsageError as error:
            meant = did_you_mean(str(value), map(str, self.choices), form="{}")
            if not meant:
                raise
            self.fail(f"{error.message.rstrip('.')}; {meant}", param, ctx)


class Seconds(click.FloatRange):
    """How long to wait at most: more than nothing, and no longer than a year."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(0, LONGEST_WAIT, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does, which takes ``nan`` for a number in every range."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return seconds


def checked(command: click.Command) -> click.Command:
    """Return the command, and those below it, with parameters that refuse what is empty and name what is near."""
    for parameter in command.params:
        kind = parameter.type
        if type(kind) is click.Choice:
            parameter.type = NamingChoice(kind.choices, kind.case_sensitive)
        if kind is not click.UNPROCESSED:
            parameter.callback = _not_empty(parameter.callback)
    for below in getattr(command, "commands", {}).values():
        checked(below)
    return command


def unknown_option(error: click.NoSuchOption) -> str:
    """Return what is wrong with an option there is not, and which may have been meant."""
    parameters = error.ctx.command.params if error.ctx else []
    known = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
    meant = did_you_mean(error.option_name, known, form="{}")
    return f"no such option: {error.option_name}" + (f"; {meant}" if meant else "")


def _not_empty(callback: Callback | None) -> Callback:
    """Return a callback that does what the one before did, and refuses an empty text which was given."""

    def look(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        result = value if callback is None else callback(ctx, parameter, value)
        given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and (value == "" or (isinstance(value, tuple) and "" in value)):
            raise click.BadParameter(
                "it is empty; leave it out if nothing is meant (is a variable of the shell not set?)",
                ctx=ctx,
                param=parameter,
            )
        return result

    return look
