"""The task a service's script works on: its config, its folder, and how it speaks and fails.

Promise: a script ends with status 0 when its action is done, else with status 1 and, as the last lines on stderr, one
message that names the thing and what to do next. The values come from the environment (``COOPR_*``), never from the
command line.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

DATA = Path(os.environ.get("COOPR_DATA", "."))
"""The service's own folder on the node: software, configuration, data, logs."""

_REQUIRED = object()


class Failed(Exception):
    """The action cannot be done; the message is for the user."""


def say(text: str) -> None:
    """One line of output, shown at once in the task's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def config(path: str, default: object = _REQUIRED) -> str:
    """The scalar at ``path`` of the cluster's config (``nats.client_port``); ``Failed`` when there is none."""
    value = os.environ.get("COOPR_CONFIG_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper())
    if value is not None:
        return value
    if default is _REQUIRED:
        raise Failed(f"the cluster's config has no '{path}', which {service()} needs: set it with --set {path}=VALUE")
    return str(default)


def number(path: str) -> int:
    """The whole number at ``path`` of the config."""
    text = config(path)
    try:
        return int(text)
    except ValueError:
        raise Failed(f"config '{path}' is {text!r}, not a whole number") from None


def values(path: str) -> list[str]:
    """The list at ``path`` of the config, however its elements are separated."""
    return [part for part in re.split(r"[,\s]+", config(path)) if part]


def service() -> str:
    """The name of the service the task is about."""
    return os.environ.get("COOPR_SERVICE", DATA.name)


def host_name() -> str:
    """The name of the node the task is about."""
    return os.environ.get("COOPR_HOST_NAME", "localhost")


def bind_address() -> str:
    """The address the node's services listen on."""
    return os.environ.get("COOPR_BIND_V4", "127.0.0.1")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step; nobody ever reads half of it, or a secret in it before its mode is set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    new.chmod(mode)
    new.replace(path)


def remove_data() -> None:
    """Delete all the service keeps on the node."""
    shutil.rmtree(DATA, ignore_errors=True)
    if DATA.exists() and any(DATA.iterdir()):
        raise Failed(f"cannot delete {DATA}: see who owns what is left in it")
    say(f"deleted {DATA}")


def run_action(actions: Mapping[str, Callable[[], None]]) -> None:
    """Run the task's action and end the script with its outcome."""
    action = os.environ.get("COOPR_ACTION", "").lower()
    if action not in actions:
        sys.exit(f"{service()}: no action {action!r}; it has {', '.join(actions)}")
    try:
        actions[action]()
    except Failed as failure:
        sys.exit(f"{service()}: {failure}")
