"""One action of a service as the shell automator understands it: which script or text, with what, for how long.

``check_action`` finds everything wrong in it before anything is connected to; ``read_action`` raises for it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput, Problem
from coopr_core.macros import uses
from coopr_core.providers.settings import SettingField

DEFAULT_TIMEOUT = "30m"

FIELDS = (
    SettingField("script", "Script", "text", "A file of the service's own folder. Its #! line is honoured."),
    SettingField(
        "args",
        "Arguments",
        "text",
        "What the script is given: a list, or text split as a shell would. Visible in the node's process list.",
        default=(),
    ),
    SettingField("command", "Command", "text", "Shell text to run instead of a script."),
    SettingField(
        "timeout",
        "Time limit",
        "text",
        "How long it may take: seconds, or text like 90s, 5m, 1h30m.",
        default=DEFAULT_TIMEOUT,
        overridable=True,
    ),
)
"""What there is to fill in for an action of type ``shell``."""

REQUIRED_SETS = (("script",), ("command",))
"""The combinations of fields of which exactly one must be given."""

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)


@dataclass(frozen=True, slots=True)
class ShellAction:
    """What to run: a script of the service with its arguments, or shell text. ``timeout`` is in seconds."""

    script: str
    args: tuple[str, ...]
    command: str
    timeout: float


def seconds(value: object) -> float:
    """Seconds from a number, or from text like ``90``, ``90s``, ``5m``, ``1h30m``. Raises ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no duration")
    if isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
            result = float(text)
        else:
            match = _DURATION.fullmatch(text)
            if match is None or not text:
                raise ValueError(f"{value!r} is no duration; write seconds, or text like 90s, 5m, 1h30m")
            result = float(sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS, strict=True) if n))
    else:
        result = float(value)
    if not 0 < result <= 365 * 86400:
        raise ValueError(f"{value!r} is no time limit: it must be more than 0 s and at most a year")
    return result


def _arguments(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(shlex.split(value))
    if isinstance(value, Sequence) and all(isinstance(item, str | int | float) for item in value):
        return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in value)
    raise ValueError("must be a list of texts, or text")


def check_action(action: str, service: Service, fields: Mapping[str, Any] | None = None) -> list[Problem]:
    """Everything wrong with an action of a service; each problem names the service, the action and the place.

    ``fields`` are the action's with their macros expanded; without them the catalog's are checked, as far as that goes.
    """
    given = service.actions[action].fields if fields is None else fields
    place = f"provisioner.actions.{action}.fields"
    problems: list[Problem] = []

    def problem(name: str, message: str) -> None:
        path = f"{place}.{name}" if name else place
        problems.append(Problem(f"service {service.name!r}, action {action!r}: {message}", path=path))

    known = [field.name for field in FIELDS]
    for name in given:
        if name not in known:
            problem(name, f"unknown field {name!r}; the shell automator knows {', '.join(known)}")
    ways = [name for (name,) in REQUIRED_SETS if given.get(name)]
    if len(ways) != 1:
        problem("", "needs either 'script' or 'command'" + (", not both" if ways else ""))
    for name in ways:
        if not isinstance(given[name], str):
            problem(name, f"{name!r} must be text")
    script = given.get("script")
    if isinstance(script, str) and script and not (fields is None and _is_macro(script)):
        script = normalized(script)
        if script not in map(normalized, service.files):
            there = ", ".join(sorted(service.files)) or "no files at all"
            problem("script", f"there is no script {script!r} among the service's files ({there})")
    for name, read in (("args", _arguments), ("timeout", seconds)):
        value = given.get(name)
        if value is not None and not (fields is None and _is_macro(value)):
            try:
                read(value)
            except ValueError as error:
                problem(name, f"{name!r}: {error}")
    for name, value in service.actions[action].fields.items():
        if name != "command" and any(use.name is not None and use.name.secret for use in uses(value, loose=True)):
            what = "arguments are visible in the node's process list" if name == "args" else "a secret has no use here"
            problem(name, f"{what}: let the script read the secret from config")
    return problems


def _is_macro(value: object) -> bool:
    return any(uses(value, loose=True))


def normalized(path: str) -> str:
    """A script's path as the service's files are keyed: without ``./``."""
    return str(PurePosixPath(path)) if path else path


def read_action(action: str, service: Service, fields: Mapping[str, Any]) -> ShellAction:
    """The action, ready to run. Raises ``InvalidInput`` with every problem found."""
    problems = check_action(action, service, fields)
    if problems:
        raise InvalidInput(
            f"action {action!r} of service {service.name!r} cannot be run",
            hint="Correct the service in the catalog: `coopr catalog validate` shows all such problems.",
            problems=problems,
        )
    timeout = fields.get("timeout")
    return ShellAction(
        script=normalized(fields.get("script") or ""),
        args=_arguments(fields.get("args") or ()),
        command=fields.get("command") or "",
        timeout=seconds(DEFAULT_TIMEOUT if timeout is None else timeout),
    )


def interpreter(name: str, text: str) -> tuple[str, ...]:
    """What runs a script: its ``#!`` line, else ``python3`` for ``.py``, else ``sh``.

    We read the line ourselves, so that a folder mounted ``noexec`` does not matter. As in Linux, all after the
    interpreter's name is one argument.
    """
    first = text.partition("\n")[0].rstrip()
    if first.startswith("#!") and first[2:].strip():
        return tuple(first[2:].split(maxsplit=1))
    return ("python3",) if name.endswith(".py") else ("sh",)
