"""One action of a service as the shell automator understands it: which script or text, with what, for how long."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from coopr_core.automators.contract import ActionFields, field_problem
from coopr_core.catalog.entities import Service
from coopr_core.errors import Problem
from coopr_core.macros import uses

DEFAULT_TIMEOUT = "30m"

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)


def seconds(value: object) -> float:
    """Return seconds from a number, or from text like ``90``, ``90s``, ``5m``, ``1h30m``. Raises ``ValueError``."""
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


def arguments(value: object) -> tuple[str, ...]:
    """Return the arguments in a list, or in text split as a shell would. Raises ``ValueError``."""
    if isinstance(value, str):
        return tuple(shlex.split(value))
    if isinstance(value, Sequence) and all(isinstance(item, str | int | float) for item in value):
        return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in value)
    raise ValueError("must be a list of texts, or text")


class ShellFields(ActionFields):
    """What there is to fill in for an action of type ``shell``: a script of the service, or shell text."""

    required_sets: ClassVar[tuple[tuple[str, ...], ...]] = (("script",), ("command",))

    script: str = Field(
        default="", title="Script", description="A file of the service's own folder. Its #! line is honoured."
    )
    args: Annotated[tuple[str, ...], BeforeValidator(arguments)] = Field(
        default=(),
        title="Arguments",
        description="What the script is given: a list, or text split as a shell would. Visible in the node's process "
        "list.",
    )
    command: str = Field(default="", title="Command", description="Shell text to run instead of a script.")
    timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=DEFAULT_TIMEOUT,
        validate_default=True,
        title="Time limit",
        description="How long it may take: seconds, or text like 90s, 5m, 1h30m.",
        json_schema_extra={"overridable": True},
    )


def script_problems(action: str, service: Service, given: Mapping[str, Any], *, expanded: bool) -> Iterator[Problem]:
    """Yield what is wrong with an action beyond the kinds of its fields: its script, and secrets where they show."""
    script, command = given.get("script"), given.get("command")
    if script and command:
        yield field_problem(action, service, "", "needs either 'script' or 'command', not both")
    if isinstance(script, str) and script and (expanded or not any(uses(script, loose=True))):
        script = normalized(script)
        if script not in map(normalized, service.files):
            there = ", ".join(sorted(service.files)) or "no files at all"
            message = f"there is no script {script!r} among the service's files ({there})"
            yield field_problem(action, service, "script", message)
    for name, value in service.actions[action].fields.items():
        if name != "command" and any(use.secret for use in uses(value, loose=True)):
            what = "arguments are visible in the node's process list" if name == "args" else "a secret has no use here"
            yield field_problem(action, service, name, f"{what}: let the script read the secret from config")


def normalized(path: str) -> str:
    """Return a script's path as the service's files are keyed: without ``./``."""
    return str(PurePosixPath(path)) if path else path


def interpreter(name: str, text: str) -> tuple[str, ...]:
    """Return what runs a script: its ``#!`` line, else ``python3`` for ``.py``, else ``sh``.

    We read the line ourselves, so that a folder mounted ``noexec`` does not matter. As in Linux, all after the
    interpreter's name is one argument.
    """
    first = text.partition("\n")[0].rstrip()
    if first.startswith("#!") and first[2:].strip():
        return tuple(first[2:].split(maxsplit=1))
    return ("python3",) if name.endswith(".py") else ("sh",)
