"""The record of a task on its node: the JSON it was run with, found by the task's id, and removed when not wanted.

Cost: one command on the node for each. What comes back holds secrets in clear; it is for comparing, never for showing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coopr_core.automators.shell.bundle import Places
from coopr_core.errors import NotFound

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

SUFFIXES = ("json", "keys", "env", "sh", "command", "pipe", "lost")
"""The ends of the names of a task's files."""

_SECONDS = 60


def read_record(task_id: str, root: str, session: Session) -> Mapping[str, Any]:
    """The JSON of a task as it is on the node. Raises ``NotFound`` when it is not there, or is no JSON any more."""
    path = f"{Places(root).tasks}/{task_id}.json"
    try:
        found = json.loads(session.get(path))
    except ValueError as error:
        raise NotFound(f"{path} is not the record of a task any more: {error}") from error
    if not isinstance(found, dict):
        raise NotFound(f"{path} is not the record of a task any more")
    return found


def remove_record(task_id: str, root: str, session: Session) -> None:
    """Remove the files of a task from the node; gone is fine."""
    paths = [f"{Places(root).tasks}/{task_id}.{suffix}" for suffix in SUFFIXES]
    session.run(f"rm -f {shlex.join(paths)}", timeout=_SECONDS, on_line=lambda stream, line: None)
