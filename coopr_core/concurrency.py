"""How much of a job may run at once."""

from __future__ import annotations

MOST_CONCURRENT = 1024
"""How many tasks of a job may be allowed to run at once, at most: each of them is a thread."""
