"""Trying again outside of Prefect's tasks: while the error says that later helps, a few times, with growing pauses.

Promise: what fails for good is raised as it is; a provider that names how long it wants to be left alone is left alone,
as far as ``LONGEST_WAIT`` allows. Never imports Prefect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from coopr_core.errors import CooprError, Retry, Throttled
from coopr_core.providers.limits import LONGEST_WAIT
from coopr_core.settings import load_settings

R = TypeVar("R")

PAUSE_SECONDS = 2.0
"""The pause before the second try; each further one is twice as long."""


def wanted_pause(error: CooprError) -> float:
    """Return how many seconds a provider asked to be left alone with this error; 0 when it did not."""
    asked = error.retry_after if isinstance(error, Throttled) else None
    return min(asked or 0.0, LONGEST_WAIT)


def patiently(work: Callable[[], R]) -> R:
    """Do ``work`` as often as a task is tried (setting ``attempts``). Raises its last error."""
    tries = load_settings().attempts
    for number in range(1, tries + 1):
        try:
            return work()
        except CooprError as error:
            if error.retry is not Retry.LATER or number == tries:
                raise
            time.sleep(max(wanted_pause(error), PAUSE_SECONDS * 2 ** (number - 1)))
    raise AssertionError("there is at least one try")
