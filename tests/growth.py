"""How a cost grows with the work, as a ratio of two costs of one run: how long each takes is for ``benchmarks/``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

RUNS = 3


def growth(prepare: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """How many times as much CPU time the work prepared for ``large`` takes as that for ``small``, least of three.

    The two are measured in turn, so that a busy machine slows both; without the garbage collector, which looks through
    all that the tests before have left. Compare with a limit well between what is right and what is wrong: a second of
    CPU time is worth three times as much on an idle machine as on a busy one.
    """
    works = prepare(large), prepare(small)
    costs: list[list[float]] = [[], []]
    for _ in range(RUNS):
        for work, taken in zip(works, costs, strict=True):
            taken.append(_cost(work))
    most, least = (max(min(taken), 0.001) for taken in costs)
    return most / least


def _cost(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()
