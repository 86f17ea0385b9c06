"""Environment variables as text that a POSIX shell reads back exactly: any value, quotes and newlines included.

The text belongs in a file only its owner may read, never on a command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from coopr_core.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def export_lines(variables: Mapping[str, str]) -> str:
    """Return one ``export`` per variable, in name order, for the shell's ``.`` command.

    Raises ``InvalidInput`` for what no environment can hold: a bad name, or a NUL character in a value.
    """
    lines = []
    for name, value in sorted(variables.items()):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of an environment variable")
        if "\0" in value:
            raise InvalidInput(f"the value of {name} has a NUL character, which no environment variable can hold")
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines)
