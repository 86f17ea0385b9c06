"""Work on many nodes at once ends when the user interrupts, however far it has come."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from coopr_cli.access.reach import Reach
from coopr_core.remote.pool import Sessions


def test_an_interrupt_while_nodes_are_still_handed_out_stops_what_runs_already(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "no-key")
    begun = threading.Event()

    def work(node: Any) -> None:
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        sessions._stopping.wait(5)

    many: Any = range(20_000)
    with pytest.raises(KeyboardInterrupt):
        Reach(None, sessions, lambda: None).each(many, work)  # type: ignore[arg-type]  # neither is asked for anything
    assert sessions._stopping.is_set()
