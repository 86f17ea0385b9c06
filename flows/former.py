"""Where flows were: deployments that an earlier version published lead there until they are published again.

The schedule that reaps expired clusters would otherwise come to nothing after an update, without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

FORMER = (
    "care",
    "care.checking",
    "care.collecting",
    "care.leases",
    "care.reaping",
    "changes",
    "changes.configuring",
    "changes.rebuilding",
    "changes.scaling",
    "changes.services",
    "control",
    "control.resuming",
    "deletion",
)
"""Modules of ``flows`` that entry points of deployments name, and the packages they were in."""


def stand_in(package: str, flow: Callable[[str], Any]) -> None:
    """Have each former module import as one whose attributes are what ``flow`` gives, such as ``delete_cluster``."""
    for name in FORMER:
        module = ModuleType(f"{package}.{name}", "The flows that were here are in the package now.")
        module.__path__ = []
        module.__getattr__ = flow  # type: ignore[method-assign]  # modules may have one of their own (PEP 562)
        sys.modules.setdefault(module.__name__, module)
