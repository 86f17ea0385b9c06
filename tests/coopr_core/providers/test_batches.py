"""What many threads ask for one by one leaves together, and each gets its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from coopr_core.errors import Interrupted
from coopr_core.providers.batches import Batches, Stopped


class Sender:
    """Doubles numbers, and keeps what was sent together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.lock = threading.Lock()

    def __call__(self, items: Sequence[int], stopped: Stopped) -> list[int | BaseException]:
        with self.lock:
            self.batches.append(list(items))
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


def test_a_full_batch_leaves_at_once_and_each_gets_its_own_answer() -> None:
    sender = Sender()
    batches: Batches[int, int] = Batches(sender, size=10, seconds=60)
    with ThreadPoolExecutor(40) as threads:
        assert list(threads.map(batches.ask, range(40))) == [2 * number for number in range(40)]
    assert [len(batch) for batch in sender.batches] == [10, 10, 10, 10]


def test_nothing_waits_longer_than_the_gathering_time() -> None:
    sender = Sender()
    batches: Batches[int, int] = Batches(sender, size=10, seconds=1.5)
    began = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(batches.ask, range(3))) == [0, 2, 4]
    assert time.monotonic() - began >= 1.5
    assert sum(len(batch) for batch in sender.batches) == 3
    assert len(sender.batches) < 3


def test_an_error_is_that_items_alone() -> None:
    sender = Sender()
    batches: Batches[int, int] = Batches(sender, size=3, seconds=60)

    def ask(number: int) -> int | str:
        try:
            return batches.ask(number)
        except ValueError as error:
            return f"error {error}"

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, (1, -2, 3))) == [2, "error -2", 6]
    assert len(sender.batches) == 1


def test_what_the_call_raises_is_true_of_all_that_were_sent() -> None:
    def send(items: Sequence[int], stopped: Stopped) -> list[int]:
        raise OSError("down")

    batches: Batches[int, int] = Batches(send, size=2, seconds=5)

    def ask(number: int) -> str:
        with pytest.raises(OSError, match="down") as caught:
            batches.ask(number)
        return str(caught.value)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ask, (1, 2))) == ["down", "down"]


def test_one_at_a_time_waits_for_nobody() -> None:
    sender = Sender()
    batches: Batches[int, int] = Batches(sender, size=1, seconds=60)
    assert [batches.ask(number) for number in range(3)] == [0, 2, 4]
    assert sender.batches == [[0], [1], [2]]


def test_who_does_not_wait_any_more_is_let_go_and_the_call_hears_of_it_when_nobody_does() -> None:
    heard = threading.Event()
    stop = threading.Event()

    def send(items: Sequence[int], stopped: Stopped) -> list[int]:
        while not stopped():
            time.sleep(0.01)
        heard.set()
        raise Interrupted("nobody waits")

    batches: Batches[int, int] = Batches(send, size=2, seconds=5)

    def ask(number: int) -> None:
        with pytest.raises(Interrupted):
            batches.ask(number, stop.is_set)

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask, number) for number in (1, 2)]
        stop.set()
        for each in asked:
            each.result()
    assert heard.is_set()
