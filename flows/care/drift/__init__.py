"""How clusters differ from what is recorded of them; see ``looking``."""

from __future__ import annotations

from flows.care.drift.findings import Drift, Finding
from flows.care.drift.looking import find_drift

__all__ = ["Drift", "Finding", "find_drift"]
