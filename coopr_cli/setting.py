"""`--set KEY=VALUE`: one config value typed on the command line, as a tree to lay over the template's config."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from coopr_core.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])

EXAMPLE = "nats.client_port=4333"
_LONGEST_SHOWN = 200


def set_option(command: F) -> F:
    """Add ``--set KEY=VALUE`` (repeatable), passed on as ``settings``."""
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
    """Return the settings as one tree. Raises ``InvalidInput`` for one that cannot be used, and for two that clash."""
    from coopr_core.model.config import merge_config

    whole: dict[str, Any] = {}
    for setting in settings:
        path, tree = _key(setting), _value(setting)
        for part in reversed(path):
            tree = {part: tree}
        _refuse_clash(whole, tree)
        whole = merge_config(whole, tree)
    return whole


def _key(setting: str) -> tuple[str, ...]:
    key, equals, _ = setting.partition("=")
    parts = tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", key))
    if not equals or not all(part.strip() == part != "" for part in parts):
        raise InvalidInput(f"--set {key + equals!r} is not KEY=VALUE", hint=f"for example: --set {EXAMPLE}")
    return parts


def _value(setting: str) -> Any:
    from coopr_core.documents.typed_value import read_value
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


def _refuse_clash(before: Mapping[str, Any], tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> None:
    """Refuse ``a=1`` beside ``a.b=2``: one of the two would be lost."""
    for key in before.keys() & tree.keys():
        one, other = before[key], tree[key]
        if isinstance(one, dict) and isinstance(other, dict):
            _refuse_clash(one, other, (*path, key))
        elif isinstance(one, dict) or isinstance(other, dict):
            name = ".".join((*path, key))
            raise InvalidInput(
                f'two --set cannot both be: one makes "{name}" a map, the other something else, and would be lost',
                hint="give one of them",
            )
