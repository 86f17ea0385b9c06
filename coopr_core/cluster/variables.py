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
    """The variables of a config: one for each scalar and each list of scalars."""
    return {name: value for name, value, _ in _variables(config)}


def clashes(config: Mapping[str, Any], place: str = "config") -> list[Problem]:
    """The values that would become the same variable as another, each with both paths; ``place`` is the config's."""
    seen: dict[str, str] = {}
    found = []
    for name, _, path in _variables(config):
        if name in seen:
            message = f"becomes {name} in scripts, as {place}.{seen[name]} does: call one of them otherwise"
            found.append(Problem(message, path=f"{place}.{path}"))
        seen.setdefault(name, path)
    return found


def _variables(tree: Mapping[str, Any], before: str = PREFIX, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, value and path of each variable, in the order of the keys."""
    for key, value in sorted(tree.items(), key=lambda item: str(item[0])):
        name, path = before + re.sub(r"[^A-Za-z0-9]", "_", str(key)).upper(), f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _variables(value, f"{name}_", f"{path}.")
        elif isinstance(value, list | tuple):
            if not any(isinstance(item, Mapping | list | tuple) for item in value):
                yield name, " ".join(map(_text, value)), path
        else:
            yield name, _text(value), path


def _text(scalar: object) -> str:
    """A scalar as a shell wants it: null is empty."""
    if scalar is None:
        return ""
    return scalar if isinstance(scalar, str) else json.dumps(scalar)
