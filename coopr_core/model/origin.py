"""Who does something to a cluster, and from where: what the history of a cluster says of every change.

Costs a look at the environment. A process that runs a Prefect deployment is known by the variable that Prefect's runner
sets for it; the ``coopr`` command says so of itself.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache

COMMAND = "command"
"""By the ``coopr`` command."""
DEPLOYMENT = "deployment"
"""By the run of a Prefect deployment: from Prefect's UI, its API or a schedule."""
PYTHON = "python"
"""By a Python program that called a flow or the store."""

_via = PYTHON


@dataclass(frozen=True, slots=True)
class Origin:
    """``by`` is ``user@host``, ``via`` one of the constants of this module."""

    by: str
    via: str


def set_via(via: str) -> None:
    """Say what this process is: everything it does from now on is done via that."""
    global _via
    _via = via


def origin() -> Origin:
    """Who and where we are."""
    return Origin(_by(), DEPLOYMENT if os.environ.get("PREFECT__FLOW_RUN_ID") else _via)


@lru_cache(maxsize=1)
def _by() -> str:
    from coopr_core.settings import login_name

    return f"{login_name()}@{socket.gethostname()}"
