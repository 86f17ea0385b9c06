"""Who the nodes' commands run as: ourselves, or as root an unprivileged user.

Promise: whether that user can run or reach something is found out by doing it as that user, never guessed from mode
bits. A try costs a fork and an exec.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopr_core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class NodeUser:
    """A user of this machine; ``switch`` says that commands must change to it first."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> dict[str, Any]:
        """Return the options that make ``subprocess.Popen`` run a command as this user and in no other group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def run(self, command: Sequence[str | Path], *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, from ``/``, with nothing of our Python's environment."""
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=clean_environment(),
            timeout=timeout,
            check=False,
            **self.popen_options(),
        )

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Whether the command ends well when this user runs it."""
        try:
            return self.run(command).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False

    def reaches(self, folder: Path) -> bool:
        """Whether this user can enter the folder."""
        return not self.switch or self.can_run(["/bin/sh", "-c", 'cd "$1"', "sh", folder])


def clean_environment() -> Mapping[str, str]:
    """Our environment without what would bend another Python (``PYTHONPATH``, ``VIRTUAL_ENV``) or its pip."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV", "__PYVENV"))
    }


def node_user(name: str) -> NodeUser:
    """Return the user the nodes' commands run as: ``name`` when we are root, else ourselves.

    Raises ``InvalidInput`` when there is no such user.
    """
    if os.geteuid() != 0:
        try:
            own = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            own = f"uid-{os.geteuid()}"
        return NodeUser(own, os.geteuid(), os.getegid(), switch=False)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise InvalidInput(
            f"the local provider's user {name!r} does not exist on this machine",
            hint="Name an unprivileged user in the provider's setting `user`.",
        ) from None
    return NodeUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=entry.pw_uid != 0)
