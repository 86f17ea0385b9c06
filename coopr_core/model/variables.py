"""The variables that a config is to scripts: ``nats.client_port`` becomes ``COOPR_CONFIG_NATS_CLIENT_PORT``.

Promise: no two values become one variable. Keys take any letters and variables few, so two keys can (``client-port``
and ``client_port``); such a config is refused with both named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from coopr_core.errors import Problem

PREFIX = "COOPR_CONFIG_"


def config_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a config: one for each scalar and each list of scalars."""
    return {name: value for _, name, value in _leaves(config, ()) if value is not None}


def clashes(config: Mapping[str, Any], place: str = "config") -> list[Problem]:
    """Return the values that would become the same as another for a script, each with both paths.

    ``place`` is the config's.

    Scripts know a value by its variable, and by its path with ``/`` (``coopr_lookup_key``).
    """
    seen: dict[str, str] = {}
    found = []
    for keys, name, value in _leaves(config, ()):
        path = ".".join([place, *keys])
        known = name if value is not None else "/".join(keys)
        if known in seen:
            message = f"becomes {known} in scripts, as {seen[known]} does: call one of them otherwise"
            found.append(Problem(message, path=path))
        seen.setdefault(known, path)
    return found


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str | None]]:
    """Keys, variable and value of each scalar and list, in the order of the keys; None: no variable can hold it."""
    for key, value in sorted(tree.items(), key=lambda item: str(item[0])):
        keys = (*above, str(key))
        name = PREFIX + "_".join(re.sub(r"[^A-Za-z0-9]", "_", each).upper() for each in keys)
        if isinstance(value, Mapping):
            yield from _leaves(value, keys)
        elif isinstance(value, list | tuple):
            deep = any(isinstance(item, Mapping | list | tuple) for item in value)
            yield keys, name, None if deep else " ".join(map(_text, value))
        else:
            yield keys, name, _text(value)


def _text(scalar: object) -> str:
    """Return a scalar as a shell wants it: null is empty."""
    if scalar is None:
        return ""
    return scalar if isinstance(scalar, str) else json.dumps(scalar)
