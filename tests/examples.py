"""How many examples a property is tried on; the gate tries a quarter of them, and always the same ones."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(PROFILE)


def examples(count: int, **others: Any) -> settings:
    """The settings of a property that is tried on ``count`` examples; ``others`` are hypothesis' own."""
    return settings(max_examples=max(1, count // 4) if PROFILE == "gate" else count, **others)
