"""Scripts whose lines end with carriage returns, as in DOS: a shell takes these for a part of the command.

A script is a file of a service that an action names, that begins with ``#!`` or is called ``.sh``; the text of an
action that a shell runs is one too. What else a service sends is sent as it is. Cost: linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from coopr_core.catalog.entities import Service

_FLAW = "lines end with CRLF, and shells take the CR as text: end them with LF alone (dos2unix, core.autocrlf=input)"
_MILD = "lines end with CRLF: its interpreter may bear that, a shell that starts it does not"
_SHELLS = frozenset({"sh", "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh"})


class Flaw(NamedTuple):
    """A script with a flaw: its file and line, what is wrong, and whether an action can run it yet."""

    path: str
    line: int
    message: str
    runs: bool


def in_files(service: Service) -> Iterator[Flaw]:
    """Yield the scripts among the service's files with such lines, and those with no lines at all."""
    named = [action.fields.get("script") for action in service.actions.values()]
    run = {str(PurePosixPath(script)) for script in named if isinstance(script, str)}
    for path, text in sorted(service.files.items()):
        if path in run and not text.strip():
            yield Flaw(path, 1, f"the script {PurePosixPath(path).name} is empty: its action does nothing", True)
        elif text.startswith("#!") or path.endswith(".sh") or path in run:
            line = _first_of_dos(text)
            if line:
                mild = not _is_for_a_shell(path, text)
                yield Flaw(path, line, f"the script {PurePosixPath(path).name}: its {_MILD if mild else _FLAW}", mild)


def in_commands(service: Service) -> Iterator[tuple[str, str]]:
    """Yield the shell texts with such lines: the action, and what is wrong."""
    for name, action in sorted(service.actions.items()):
        command = action.fields.get("command")
        if action.type == "shell" and isinstance(command, str) and _first_of_dos(command):
            yield name, f"the command's {_FLAW}"


def _is_for_a_shell(path: str, text: str) -> bool:
    """Whether a shell runs the script: by its ``#!`` line, or for want of one."""
    words = text.partition("\n")[0].removeprefix("#!").split() if text.startswith("#!") else []
    if not words:
        return not path.endswith(".py")
    return any(PurePosixPath(word).name in _SHELLS for word in words)


def _first_of_dos(text: str) -> int:
    """Return the first line that ends with a carriage return when the first or most lines do; else 0.

    A script in which a few later lines end so may mean it (the text of a request, say).
    """
    lines = text.split("\n")
    dos = [number for number, line in enumerate(lines, 1) if line.endswith("\r")]
    return dos[0] if dos and (dos[0] == 1 or 2 * len(dos) > len(lines)) else 0
