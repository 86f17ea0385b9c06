"""How clusters differ from what is recorded of them; see ``look``."""

from __future__ import annotations

from coopr_core.maintenance.drift.findings import Drift, Finding
from coopr_core.maintenance.drift.look import find_drift

__all__ = ["Drift", "Finding", "find_drift"]
