"""Work on many nodes at once: in order, bounded, and over when the user interrupts, however far it has come."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from coopr_core.errors import Interrupted
from coopr_core.remote.access import NodeAccess


def test_an_interrupt_while_nodes_are_still_handed_out_stops_what_runs_already(tmp_path: Path) -> None:
    access = NodeAccess(tmp_path / "no-key")
    begun = threading.Event()
    stopped = access._open_links.stopping

    def work(node: int) -> None:
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        stopped.wait(5)

    with pytest.raises(KeyboardInterrupt):
        access.each(range(20_000), work)
    assert stopped.is_set()


def test_what_one_node_raises_ends_the_work_on_all(tmp_path: Path) -> None:
    access = NodeAccess(tmp_path / "no-key")
    stopped = access._open_links.stopping

    def work(node: int) -> None:
        if node == 3:
            raise Interrupted("stopped")
        assert stopped.wait(5)

    with pytest.raises(Interrupted):
        access.each([0, 1, 3], work)
    assert stopped.is_set()


def test_results_come_in_the_nodes_order_and_no_more_work_at_once_than_asked_for(tmp_path: Path) -> None:
    access = NodeAccess(tmp_path / "no-key")
    running, most, lock = 0, 0, threading.Lock()

    def work(node: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.001 * (5 - node % 5))
        with lock:
            running -= 1
        return node * 2

    assert access.each(range(40), work, at_once=7) == [node * 2 for node in range(40)]
    assert 1 < most <= 7
    assert access.each([], work) == []
