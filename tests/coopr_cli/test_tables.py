"""At 80 columns nothing that somebody would copy is broken; all of it is there when asked for."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from rich.cells import cell_len
from store_samples import new_cluster, stages

from coopr_cli.tables import print_table
from coopr_core.model.states import AttemptState, NodeState
from coopr_core.store import Store

LONG = "a-cluster-of-a-very-long-name-that-is-just-short-enough-for-dns"
ADDRESS = "2001:db8:85a3:8d3:1319:8a2e:370:7348"
FLOW_RUN = "522b88b5-ab1f-4699-98f9-f4418f3b1edb"
Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with a cluster whose every name is long, and one with wide letters."""
    url = f"sqlite:///{tmp_path_factory.mktemp('tables') / 'coopr.db'}"
    with Store.open(url) as store:
        new_cluster(store, "日本のクラスター", tenant="default")
        cluster = new_cluster(store, LONG)
        machine = {"provider_id": "i-1", "addresses": {"access_v4": ADDRESS}, "port": 2222}
        for node in store.nodes(cluster.id):
            store.record_machine(cluster.id, node.number, machine, NodeState.CONFIRMED)
        job = store.start_job(cluster.id, "CLUSTER_CREATE", stages(), flow_run_id=FLOW_RUN)
        store.finish_attempt(store.start_attempt(f"{job.id}-001"), AttemptState.SUCCEEDED)
    return url


@pytest.fixture
def at_80(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    monkeypatch.setenv("COOPR_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (("list",), {LONG, "00000002", "日本のクラスター"}),
        (("list", "--all"), {LONG, "00000002"}),
        (("status",), {LONG, "00000002-001"}),
        (("show", LONG), {ADDRESS + ":2222", "00000002-001", FLOW_RUN, f"{LONG[:20]}"}),
        (("tasks", LONG), {"00000002-001-001", "00000002-001-004", "1001", "SUCCEEDED"}),
        (("events", LONG, "-o", "table"), {"00000002-001-001", "SUCCEEDED"}),
        (("usage", "--by", "cluster"), {LONG, "00000002"}),
        (("quota",), {"default"}),
        (("catalog", "list"), {"spark-standalone-worker", "webapp-database", "local-python"}),
        (("plan", "--template", "webapp", "--nodes", "30"), {"webapp-balancer", "local-small"}),
    ],
)
def test_what_one_would_copy_is_whole_at_80_columns(
    coopr: Coopr, at_80: None, words: tuple[str, ...], whole: set[str]
) -> None:
    shown = coopr(*words)
    assert shown.code == 0
    printed = {word.strip(",") for line in shown.out.splitlines() for word in line.split()}
    missing = {word for word in whole if not any(each.startswith(word) for each in printed)}
    assert not missing
    table = [line for line in shown.out.splitlines() if not line.startswith(("Critical", "CREATE ", LONG))]
    assert max(map(cell_len, table)) <= max(80, 17 + max(map(cell_len, printed)))


def test_what_there_is_no_room_for_is_named_and_wide_shows_it(coopr: Coopr, at_80: None) -> None:
    narrow, wide = coopr("list"), coopr("list", "-o", "wide")
    assert narrow.out.split()[:2] == ["NAME", "ID"]
    assert "OWNER" not in narrow.out
    assert narrow.err == (
        "Left out for want of room: state, template, provider, nodes, owner, age, lease; -o wide shows all.\n"
    )
    heads = ["NAME", "ID", "STATE", "TEMPLATE", "PROVIDER", "NODES", "OWNER", "AGE", "LEASE"]
    assert wide.out.splitlines()[0].split() == heads
    assert len(wide.out.splitlines()) == 3
    assert wide.err == ""


def test_what_is_no_terminal_gets_everything_on_one_line_each(
    coopr: Coopr, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPR_DATABASE_URL", database)
    monkeypatch.delenv("COLUMNS", raising=False)
    listed = coopr("catalog", "list", "service")
    assert len(listed.out.splitlines()) == 9
    assert max(map(len, listed.out.splitlines())) > 100
    assert coopr("list").out.splitlines()[0].split()[-1] == "LEASE"


def test_a_real_terminal_of_80_columns_breaks_nothing(database: str) -> None:
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "COOPR_DATABASE_URL": database, "TERM": "dumb"}
    environment.pop("COLUMNS", None)
    words = [sys.executable, "-m", "coopr_cli", "list"]
    with subprocess.Popen(words, env=environment, stdin=inside, stdout=inside, stderr=inside) as command:
        os.close(inside)
        said = b""
        while chunk := _read(terminal):
            said += chunk
    os.close(terminal)
    assert command.returncode == 0
    lines = said.decode().splitlines()
    assert lines[0] == f"{'NAME':<63}  ID"
    assert f"{LONG}  00000002" in lines


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""


@pytest.mark.parametrize("columns", ["5", "20", "40", "79", "80", "200"])
def test_words_stay_whole_however_narrow_it_is(capsys: Printed, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    words = "a sentence about http://127.0.0.1:4200/flow-runs and 日本語の長い言葉 of several words"
    print_table((">node", "name", "what"), [(1000, "x" * 30, words), (1001, "y", None)], wrap=["what"])
    printed = capsys.readouterr().out
    for word in ("1000", "x" * 30, "http://127.0.0.1:4200/flow-runs", "日本語の長い言葉"):
        assert word in printed.split()
    longest = len("http://127.0.0.1:4200/flow-runs")
    assert max(map(cell_len, printed.splitlines())) <= max(int(columns), len("NODE") + 2 + longest)


def test_columns_line_up_also_with_letters_that_take_two_places(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("name", ">n", "state"), [("日本", 7, "ACTIVE"), ("abc", 10, "")])
    assert capsys.readouterr().out == "NAME   N  STATE\n日本   7  ACTIVE\nabc   10  -\n"


@pytest.mark.parametrize(
    "words",
    [
        ("exec", LONG, "--timeout", "0", "--", "true"),
        ("exec", LONG, "--timeout", "-1", "--", "true"),
        ("exec", LONG, "--timeout", "nan", "--", "true"),
        ("exec", LONG, "--timeout", "inf", "--", "true"),
        ("pause", LONG, "--wait", "--timeout", "nan"),
        ("abort", LONG, "--timeout", "0"),
        ("scale", LONG, "--nodes", "0"),
        ("scale", LONG, "--nodes", "-3"),
        ("create", "--template", "nats", "--on-failure", "continue", "--min-nodes", "0", "-y"),
        ("create", "--template", "nats", "--nodes", "0", "-y"),
        ("create", "--template", "nats", "--max-concurrency", "0", "-y"),
        ("restart", LONG, "--rolling", "--batch", "0"),
        ("reap-expired", "--dry-run", "--warn-before", "-1d"),
        ("quota", "default", "--price", "nan"),
    ],
)
def test_a_number_that_means_nothing_is_refused(coopr: Coopr, at_80: None, words: tuple[str, ...]) -> None:
    refused = coopr(*words)
    assert refused.code == 3
    assert refused.out == ""
