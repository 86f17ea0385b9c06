"""Runs a flow in a process that kills itself (SIGKILL) at a chosen point: before or after a call with an effect.

Points are counted over all threads. Nothing in the product knows of them. The processes are forked from a server that
has everything imported, so that one costs little more than its flow.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["crash_points", "flows.creation", "flows.verbs"])

_lock = threading.Lock()
_numbers = itertools.count(1)


def run_until(point: int, flow: str, parameters: Mapping[str, Any], told: Path) -> int | None:
    """Run ``flow`` up to that point, 0 for to its end; how many points it passed, None when it was killed at one.

    ``told`` is the file that names the last point passed. What the flow raises ends the process with status 1.
    """
    process = CONTEXT.Process(target=_child, args=(point, flow, dict(parameters), str(told)))
    process.start()
    process.join(120)
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0, f"{flow} ended with {process.exitcode} at {told.read_text()}"
    return int(told.read_text().split()[0])


def _child(point: int, flow: str, parameters: dict[str, Any], told: str) -> None:
    import flows
    from coopr_core.automators.shell import ShellAutomator
    from coopr_core.providers.local import LocalProvider
    from coopr_core.store import Store
    from flows import operation, stages

    stages.RETRY_SECONDS = 0.1
    written = Path(told)

    def watch(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            _pass(f"before {name}", point, written)
            result = original(*args, **kwargs)
            _pass(f"after {name}", point, written)
            return result

        setattr(owner, name, watched)

    for name in (
        "begin_cluster",
        "start_job",
        "set_flow_run",
        "start_attempt",
        "finish_attempt",
        "intend_machine",
        "record_machine",
        "finish_job",
    ):
        watch(Store, name)
    for name in ("create_machine", "machine_status", "delete_machine", "find_machines"):
        watch(LocalProvider, name)
    for name in ("bootstrap", "run"):
        watch(ShellAutomator, name)
    watch(operation, "forget_secrets")
    getattr(flows, flow)(**parameters)


def _pass(what: str, point: int, told: Path) -> None:
    with _lock:
        number = next(_numbers)
        told.write_text(f"{number} {what}")
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)
