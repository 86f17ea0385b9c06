"""What an action leaves running keeps somewhere to write to, and the task's log says where."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from task_contexts import TASK_ID, node, service, task
from test_shell_automator import lines
from watching import alive, wait_for

from coopr_core.automators.contract import Result
from coopr_core.automators.preparation import prepare_node
from coopr_core.automators.shell import ShellAutomator
from coopr_core.remote.command import CommandTimedOut
from coopr_core.remote.session import Session

pytestmark = pytest.mark.both

one_kind = pytest.mark.parametrize("server", ["asyncssh"], indirect=True)
"""For what happens on the node, whoever the server is."""

SERVER = "while :; do echo tick; echo tock >&2; sleep 0.1; done"
SAID = re.compile(r"left running, with its output open: process (.*); from now on its output goes to (.*) on this node")


class Node:
    """A node whose service's START is what a test says."""

    def __init__(self, root: Path, session: Session) -> None:
        self.root = root
        self.session = session
        self.pids: list[int] = []

    def start(self, command: str, timeout: float = 60) -> tuple[Result, list[str]]:
        demo = service(start={"command": command, "timeout": timeout})
        inputs = node(self.root, demo)
        shell = ShellAutomator()
        prepare_node(inputs, self.session)
        watched, seen = lines(self.session)
        return shell.run(task("start", demo, inputs), watched), seen

    def left_running(self, seen: list[str]) -> tuple[list[int], Path]:
        """The processes and the file that the task's log names."""
        (said,) = [found for line in seen if (found := SAID.search(line))]
        pids = [int(pid) for pid in re.findall(r"(\d+) \(\S+\)", said[1])]
        self.pids += pids
        return pids, Path(said[2])

    def logs(self) -> list[Path]:
        return [path for path in (self.root / "var/log/coopr").rglob("*") if path.is_file()]

    def pipes(self) -> list[Path]:
        return [path for path in (self.root / "var/cache/coopr").iterdir() if path.is_fifo()]


@pytest.fixture
def here(tmp_path: Path, session: Session) -> Iterator[Node]:
    root = tmp_path / "a node's root"
    root.mkdir()
    made = Node(root, session)
    yield made
    for pid in made.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, made.pids)), "what was left running ends")


def test_a_server_left_in_the_background_runs_on_and_the_log_says_where_its_output_goes(here: Node) -> None:
    result, seen = here.start(f"echo starting; ({SERVER}) & echo started; exit 3")
    assert result.exit_status == 3
    pids, log = here.left_running(seen)
    assert seen[:1] == ["starting"]
    assert "started" in seen
    assert any(map(SAID.search, result.tail))
    size = log.stat().st_size
    wait_for(lambda: log.stat().st_size > size + 30, "its output goes on")
    assert any(map(alive, pids))  # the one that was sleeping between two words has ended
    assert {"starting", "started", "tick", "tock"} == set(log.read_text().split())
    assert log == here.root / f"var/log/coopr/demo/start-{TASK_ID}.log"
    assert [path.stat().st_mode & 0o077 for path in (log, log.parent)] == [0, 0]
    assert not here.pipes()


def test_a_silent_daemon_of_a_session_of_its_own_may_write_later(here: Node) -> None:
    script = "echo $$ > pid; sleep 3; echo late || echo broken > broken; exec sleep 60"
    began = time.monotonic()
    _, seen = here.start(f"setsid sh -c '{script}' & while [ ! -s pid ]; do sleep 0.01; done")
    assert time.monotonic() - began < 10
    pids, log = here.left_running(seen)
    wait_for(lambda: log.read_text() == "late\n", "it writes")
    assert alive(pids[0])


@one_kind
def test_all_processes_that_hold_the_output_are_named(here: Node) -> None:
    _, seen = here.start("sleep 61 & sleep 62 & setsid sleep 63 &")
    assert len(here.left_running(seen)[0]) == 3
    assert seen[-1].count("(sleep)") == 3


@one_kind
@pytest.mark.parametrize(
    "command",
    [
        "echo done",
        "nohup sleep 60 >/dev/null 2>&1 </dev/null & echo $! >&2; echo $! > pid; echo done",
        "(sleep 0.3; echo done) &",
    ],
    ids=["nothing", "its output is elsewhere", "only for a moment"],
)
def test_nothing_is_said_or_kept_when_nobody_holds_the_output(here: Node, command: str) -> None:
    result, seen = here.start(command)
    assert result.exit_status == 0
    assert seen[-1] == "done"
    assert here.logs() == []
    assert here.pipes() == []
    pid = here.root / "var/lib/coopr/.coopr/services/demo/pid"
    here.pids += [int(pid.read_text())] if pid.exists() else []


@one_kind
def test_a_second_start_does_not_take_the_file_of_the_first(here: Node) -> None:
    _, seen = here.start(f"({SERVER}) &")
    _, first = here.left_running(seen)
    assert here.start("echo already running")[1] == ["already running"]
    assert here.logs() == [first]
    _, seen = here.start("sleep 60 &")
    _, second = here.left_running(seen)
    assert second != first
    size = first.stat().st_size
    wait_for(lambda: first.stat().st_size > size, "the first one writes on")


def test_large_output_arrives_whole_and_in_order(here: Node) -> None:
    _, seen = here.start("n=0; while [ $n -lt 2000 ]; do echo $n; n=$((n + 1)); echo $n >&2; n=$((n + 1)); done")
    assert seen == [str(number) for number in range(2000)]
    _, seen = here.start("yes 0123456789abcdef0123456789abcdef | head -c 10000000")
    assert sum(len(line) + 1 for line in seen) in (10_000_000, 10_000_001)
    assert here.logs() == []


@one_kind
def test_an_action_out_of_time_ends_with_its_background_too(here: Node) -> None:
    with pytest.raises(CommandTimedOut) as caught:
        here.start("sleep 64 & echo $!; sleep 65", timeout=4)
    pid = int(caught.value.tail[-1])
    wait_for(lambda: not alive(pid), "the background ends")


@one_kind
def test_a_signal_that_ends_the_action_is_its_exit_status(here: Node) -> None:
    assert here.start("kill -9 $$")[0].exit_status == 137
    assert here.start("kill -s INT $$")[0].exit_status == 130


@one_kind
def test_an_action_keeps_the_default_signals(here: Node) -> None:
    _, seen = here.start("grep -E 'SigIgn' /proc/self/status")
    assert int(seen[0].split()[1], 16) & (1 << 12 | 0b111) == 0
