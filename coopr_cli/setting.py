"""`--set KEY=VALUE`: one config value typed on the command line, as a tree to lay over the template's config."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, TypeVar

import click

from coopr_core.errors import InvalidInput, Problem

F = TypeVar("F", bound=Callable[..., Any])

EXAMPLE = "nats.client_port=4333"
_LONGEST_SHOWN = 200


def set_option(command: F) -> F:
    """Adds ``--set KEY=VALUE`` (repeatable), passed on as ``settings``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"One config value, e.g. {EXAMPLE}; '\\.' is a dot inside a key. VALUE is text, a number, true, false, "
        "null, [a, b] or {k: v}; text that looks like another of these goes in double quotes. May be repeated; "
        "of one key the last counts.",
    )(command)


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The settings as one tree. Raises ``InvalidInput`` for one that cannot be used, and for two that clash."""
    from coopr_core.cluster.config import merge_config

    parts = [_key(setting) for setting in settings]
    trees: list[dict[str, Any]] = []
    for setting, path in zip(settings, parts, strict=True):
        value = _value(setting)
        for part in reversed(path):
            value = {part: value}
        trees.append(value)
    for (one, its), (other, others) in combinations(zip(parts, trees, strict=True), 2):
        _refuse_clash(one, its, other, others)
    whole: dict[str, Any] = {}
    for tree in trees:
        whole = merge_config(whole, tree)
    return whole


def _key(setting: str) -> tuple[str, ...]:
    key, equals, _ = setting.partition("=")
    parts = tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", key))
    if not equals or not all(part.strip() == part != "" for part in parts):
        raise InvalidInput(f"--set {key + equals!r} is not KEY=VALUE", hint=f"for example: --set {EXAMPLE}")
    return parts


def _value(setting: str) -> Any:
    from coopr_core.catalog.typed_value import read_value
    from coopr_core.macros.differences import is_secret_key

    key, _, text = setting.partition("=")
    place = f"--set {key}"
    try:
        return read_value(text, place)
    except InvalidInput as error:
        if is_secret_key(key) or len(text) > _LONGEST_SHOWN or not text.isprintable():
            hint = (
                f'for the text as it stands: --set \'{key}="..."\', with \\" for ", \\\\ for \\, \\n for a line\'s end'
            )
        else:
            hint = f"for the text as it stands: --set {shlex.quote(f'{key}={json.dumps(text, ensure_ascii=False)}')}"
        if is_secret_key(key):
            why = "the value would be changed, or is no YAML"
            raise InvalidInput(f"{place} cannot be used: {why}", hint=hint) from None
        raise InvalidInput(error.message, hint=hint, problems=error.problems) from None


def _refuse_clash(one: Sequence[str], its: Any, other: Sequence[str], others: Any) -> None:
    """Refuse ``a=1`` beside ``a.b=2``: one of the two would be lost."""
    if len(one) == len(other):
        return
    shorter, longer = sorted((one, other), key=len)
    if tuple(longer[: len(shorter)]) != tuple(shorter):
        return
    value = its if len(one) < len(other) else others
    for part in shorter:
        value = value[part]
    if not isinstance(value, dict):
        key = ".".join(shorter)
        problem = Problem(f"it is also to hold {'.'.join(longer)}", f"--set {key}")
        raise InvalidInput(
            "two --set cannot both be: one of them would be lost", hint="give one of them", problems=[problem]
        )
