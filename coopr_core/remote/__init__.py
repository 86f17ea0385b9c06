"""Work on machines over SSH: one hardened, reused connection per node.

``Sessions`` hands out a ``Session`` per machine; a session runs commands, streams their output line by line, and puts
and gets files. Names are imported on first use, since the SSH libraries are slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.remote.command import CommandResult
    from coopr_core.remote.keys import ensure_client_key
    from coopr_core.remote.pool import Sessions
    from coopr_core.remote.redaction import RedactingFilter, Redactor
    from coopr_core.remote.session import Session

__all__ = ["CommandResult", "RedactingFilter", "Redactor", "Session", "Sessions", "ensure_client_key"]

_MODULES = {
    "CommandResult": "command",
    "RedactingFilter": "redaction",
    "Redactor": "redaction",
    "Session": "session",
    "Sessions": "pool",
    "ensure_client_key": "keys",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
