"""A job is never further ahead of its Prefect server than that can keep in mind, and waits for no server in vain."""

from __future__ import annotations

import pytest

from coopr_core.work.halt import Halt, JobHalt
from coopr_core.work.job import lead as lead_module
from coopr_core.work.job.lead import EVERY, MOST_AHEAD, Lead


class Server:
    """A server that records ``pace`` more each time it is asked; it gets to know of all but some."""

    def __init__(self, *, pace: int, loses: int = 0) -> None:
        self.pace, self.loses = pace, loses
        self.submitted = self.recorded = self.asked = self.furthest = 0

    def __call__(self) -> int:
        self.asked += 1
        self.recorded = max(self.recorded, min(self.recorded + self.pace, self.submitted - self.loses))
        return self.recorded

    def take(self, lead: Lead, tasks: int) -> None:
        for _ in range(tasks):
            lead.keep()
            self.submitted += 1
            self.furthest = max(self.furthest, self.submitted - self.recorded)


@pytest.fixture
def halt(monkeypatch: pytest.MonkeyPatch) -> JobHalt:
    made = JobHalt()
    monkeypatch.setattr(made, "wait", lambda seconds: None)
    return made


def test_a_job_of_thousands_of_tasks_waits_for_a_slow_server(halt: JobHalt) -> None:
    server = Server(pace=10)
    server.take(Lead(10 * MOST_AHEAD, halt, server), 10 * MOST_AHEAD)
    assert MOST_AHEAD < server.furthest <= MOST_AHEAD + EVERY


def test_a_server_that_keeps_up_is_asked_now_and_then_and_a_small_job_never_asks(halt: JobHalt) -> None:
    server = Server(pace=10 * MOST_AHEAD)
    server.take(Lead(10 * MOST_AHEAD, halt, server), 10 * MOST_AHEAD)
    assert server.asked <= 10 * MOST_AHEAD / EVERY + 1
    small = Server(pace=0)
    small.take(Lead(MOST_AHEAD, halt, small), MOST_AHEAD)
    assert small.asked == 0


def test_what_a_server_has_lost_is_waited_for_once(halt: JobHalt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead_module, "STUCK_SECONDS", 0.2)
    server = Server(pace=10 * MOST_AHEAD, loses=MOST_AHEAD + 1)
    lead = Lead(10 * MOST_AHEAD, halt, server)
    server.take(lead, 4 * MOST_AHEAD)
    asked = server.asked
    server.take(lead, 4 * MOST_AHEAD)
    assert server.asked - asked <= 4 * MOST_AHEAD / EVERY + 1


def test_nobody_waits_for_a_server_that_does_not_say_or_in_a_job_that_halts(halt: JobHalt) -> None:
    silent = Lead(10 * MOST_AHEAD, halt, lambda: None)
    for _ in range(4 * MOST_AHEAD):
        silent.keep()
    stuck = Server(pace=0)
    lead = Lead(10 * MOST_AHEAD, halt, stuck)
    halt.to(Halt.PAUSED)
    stuck.take(lead, 4 * MOST_AHEAD)
    assert stuck.submitted == 4 * MOST_AHEAD
