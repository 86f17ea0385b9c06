"""Work on nodes over SSH: one hardened, reused link per node.

``NodeAccess`` hands out a ``Session`` per machine; a session runs commands, streams their output line by line, and puts
and gets files. Names are imported on first use, since the SSH libraries are slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.remote.access import NodeAccess
    from coopr_core.remote.command import CommandResult
    from coopr_core.remote.keys import ensure_client_key
    from coopr_core.remote.redaction import RedactingFilter, Redactor
    from coopr_core.remote.session import Session

__all__ = ["CommandResult", "NodeAccess", "RedactingFilter", "Redactor", "Session", "ensure_client_key"]

_MODULES = {
    "CommandResult": "command",
    "NodeAccess": "access",
    "RedactingFilter": "redaction",
    "Redactor": "redaction",
    "Session": "session",
    "ensure_client_key": "keys",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
