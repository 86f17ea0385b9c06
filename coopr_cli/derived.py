"""The commands of operations that have none written for them: made from the parameters of their declarations.

A list of texts that must be given is the command's arguments, other lists are options that may be repeated, yes and no
is a flag, one of some words a choice; everything else is an option whose text is read as YAML and must fit the type.
"""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click

from coopr_cli.configure import DIFFERENCES
from coopr_cli.operation import asking_options, carry_out
from coopr_cli.output import output_option
from coopr_cli.request import catalog_option
from coopr_cli.run_options import run_options

if TYPE_CHECKING:
    from coopr_core.model.operations import Verb


def derived_command(verb: Verb) -> click.Command:
    """Return the command of what ``verb`` asks for."""
    from coopr_core.operations.registry import declaration

    declared = declaration(verb)
    parameters, texts = declared.parameters, declared.descriptions

    def run(cluster: str, **options: Any) -> None:
        given = {each.name: _given(each, options.pop(each.name)) for each in parameters}
        carry_out(verb, cluster, given, DIFFERENCES, **options)

    made: Any = asking_options(run) if declared.question else run_options(output_option(run))
    for parameter in reversed(parameters):
        made = _option(parameter, texts.get(parameter.name, ""))(made)
    made = click.argument("cluster")(made)
    return click.command(verb.command, short_help=verb.summary, help=f"{declared.summary}\n\nCLUSTER: its name or id.")(
        made
    )


def _option(parameter: inspect.Parameter, text: str) -> Any:
    """Return what adds the option, or the arguments, for a parameter."""
    kind, flag = _plain(parameter.annotation), f"--{parameter.name.replace('_', '-')}"
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    if parameter.name == "catalog":
        return catalog_option
    if _is_list(kind):
        if required:
            metavar = f"{parameter.name.upper()}..."
            return click.argument(parameter.name, nargs=-1, required=True, metavar=metavar)
        return click.option(flag, parameter.name, multiple=True, help=text)
    if kind is bool:
        both = f"{flag}/--no-{flag.removeprefix('--')}" if default else flag
        return click.option(both, parameter.name, is_flag=True, default=bool(default), help=text)
    choice = click.Choice([str(word) for word in get_args(kind)]) if get_origin(kind) is Literal else None
    kinds = choice or (click.STRING if kind is str else _Fitting(parameter.annotation))
    return click.option(flag, parameter.name, type=kinds, default=default, required=required, help=text)


def _given(parameter: inspect.Parameter, value: Any) -> Any:
    """Return what was given as the parameter takes it: no word of a list is none of it."""
    if not _is_list(parameter.annotation):
        return value
    return list(value) if value else parameter.default


def _is_list(annotation: Any) -> bool:
    return get_origin(_plain(annotation)) is list


def _plain(annotation: Any) -> Any:
    """Return a type without what is said about it, and without the None that leaves it out."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _plain(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


class _Fitting(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """Text that is read as YAML and must fit a type."""

    name = "value"

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or fail with what is wrong with it."""
        import yaml
        from pydantic import TypeAdapter, ValidationError

        try:
            read = yaml.safe_load(value) if isinstance(value, str) else value
            return TypeAdapter(self._annotation).validate_python(read)
        except yaml.YAMLError:
            self.fail(f"{value!r} cannot be read", param, ctx)
        except ValidationError as error:
            self.fail(f"{value!r}: {error.errors()[0]['msg']}", param, ctx)
