"""How a cost grows with the work, as a ratio of two costs of one run: how long each takes is for ``benchmarks/``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

RUNS = 3


def growth(prepare: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """How many times as much CPU time the work prepared for ``large`` takes as that for ``small``, least of three."""
    return _cost(prepare(large)) / _cost(prepare(small))


def _cost(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(RUNS):
        gc.collect()
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return max(min(taken), 0.001)
