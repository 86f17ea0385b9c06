"""What a session promises, on real SSH servers."""

from __future__ import annotations

import gc
import logging
import threading
import time
from pathlib import Path

import paramiko
import pytest
from ssh_servers import AsyncServer, machine_at
from watching import alive, wait_for

from coopr_core.automators.environment import export_lines
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.remote.access import NodeAccess
from coopr_core.remote.command import CommandStopped, CommandTimedOut, Execution, NoChannel, RemoteFailure
from coopr_core.remote.endpoint import Limits
from coopr_core.remote.session import TAIL_CHARACTERS, Session

pytestmark = pytest.mark.both


def test_a_command_gives_its_exit_status_and_both_streams_apart(session: Session) -> None:
    result = session.run("echo out; echo err >&2; exit 3")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert sorted(result.tail) == ["err", "out"]


def test_output_without_a_last_line_end_is_kept_as_it_is(session: Session) -> None:
    assert session.run("printf 'a\\n\\nb'").stdout == "a\n\nb"
    assert session.run("printf '\\n'").stdout == "\n"
    assert session.run("true").stdout == ""


def test_lines_come_one_by_one_while_the_command_runs_and_in_the_callers_thread(
    session: Session, tmp_path: Path
) -> None:
    seen: list[tuple[str, str, int]] = []

    def hear(stream: str, line: str) -> None:
        seen.append((stream, line, threading.get_ident()))
        (tmp_path / "heard").touch()

    session.run(
        f"echo first; until test -e {tmp_path}/heard; do sleep 0.05; done; echo last >&2", on_line=hear, timeout=60
    )
    assert seen == [("stdout", "first", threading.get_ident()), ("stderr", "last", threading.get_ident())]


def test_a_session_with_a_default_sink_sends_every_line_there(session: Session) -> None:
    seen: list[str] = []
    session.with_output(lambda _, line: seen.append(line)).run("echo one; echo two")
    assert seen == ["one", "two"]


def test_characters_cut_by_chunks_come_whole(session: Session) -> None:
    text = "žluťoučký 🐎 " * 20000
    seen: list[str] = []
    session.run(
        "awk 'BEGIN { for (i = 0; i < 20000; i++) printf \"žluťoučký 🐎 \" }'", on_line=lambda _, s: seen.append(s)
    )
    assert "".join(seen) == text


def test_a_signal_is_an_exit_status_and_not_a_lost_connection(session: Session) -> None:
    assert session.run("kill -9 $$").exit_status == 137


def test_ten_megabytes_of_output_arrive_whole_and_little_is_kept(session: Session) -> None:
    count = 0

    def on_line(_: str, line: str) -> None:
        nonlocal count
        count += len(line) + 1

    result = session.run("yes 0123456789abcdef0123456789abcdef | head -c 10000000", on_line=on_line)
    assert count in (10_000_000, 10_000_001)
    assert result.truncated
    assert len(result.stdout) <= TAIL_CHARACTERS + 1100
    assert result.stdout.endswith("0123456789abcdef\n0") or "0123456789abcdef" in result.stdout[-40:]


def test_a_command_on_an_open_connection_waits_for_no_delayed_acknowledgement(session: Session) -> None:
    def taken() -> float:
        began = time.monotonic()
        session.run("true")
        return time.monotonic() - began

    wait_for(lambda: taken() < 0.035, "one takes less than 0.04 s, which all do without TCP_NODELAY")


def test_a_command_has_an_empty_standard_input(session: Session) -> None:
    assert session.run("cat; echo end", timeout=5).stdout == "end\n"


@pytest.mark.parametrize("text", ["x", "%s \\n 'č'\n\n", "#coopr:end", "s3cret\n" * 30_000], ids=len)
def test_a_command_reads_the_text_it_is_given_and_then_the_end(session: Session, text: str) -> None:
    read = session.run('cat; cat; cat "/proc/$$/cmdline" "/proc/$PPID/cmdline" >&2; exit 3', text=text)
    assert (read.exit_status, read.stdout[-1000:]) == (3, text[-1000:])
    assert "s3cret" not in read.stderr
    assert session.run("wc -c", text=text).stdout.strip() == str(len(text.encode()))


def test_a_command_out_of_time_is_ended_also_with_a_text(session: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut):
        session.run("exec sh -s", text=f"echo $$ > {tmp_path}/pid; exec sleep 600 </dev/null\n", timeout=5)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), "the command ends")


def test_a_text_that_a_shell_cannot_take_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        session.run("cat", text="a\0b")


def test_a_command_keeps_the_default_interrupt_signal(session: Session) -> None:
    ignored = session.run("grep SigIgn /proc/self/status").stdout.split()[1]
    assert int(ignored, 16) & 0b110 == 0


def test_a_daemon_that_holds_the_output_open_does_not_hold_the_command(session: Session) -> None:
    began = time.monotonic()
    result = session.run("sleep 20 & echo $!")
    assert result.exit_status == 0
    assert time.monotonic() - began < 15
    session.run(f"kill {result.stdout}")


@pytest.mark.parametrize("server", ["openssh"], indirect=True)
def test_closing_the_output_of_what_a_command_left_running_is_said(session: Session) -> None:
    """By us on a machine whose server leaves that to its client, as OpenSSH does."""
    result = session.run("printf half >&2; sleep 20 & echo $!")
    session.run(f"kill {result.stdout}")
    half, said = result.stderr.splitlines()
    assert half == "half"
    assert said.startswith("coopr: what this command left running (in the background) still had its output open")
    assert session.run("sleep 0.3 & echo $!").stderr == ""


def test_a_command_out_of_time_is_ended_on_the_node_with_all_its_children(session: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match=r"node 1000 .* did not end within 3 s") as caught:
        session.run(f"(sleep 600; true) & echo $! > {tmp_path}/pid; echo working; sleep 600", timeout=3)
    assert caught.value.tail == ("working",)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(pid), "the command ends")


def test_a_command_that_ignores_the_order_to_end_is_killed(
    access: NodeAccess, async_server: AsyncServer, tmp_path: Path
) -> None:
    session = access.session(machine_at(async_server.port, async_server.host_keys))
    with pytest.raises(CommandTimedOut):
        session.run(f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done", timeout=3)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(pid), "the command is killed")


def test_stopping_ends_running_commands_and_refuses_new_ones(session: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandStopped) as caught:
        session.run(f"echo $$ > {tmp_path}/pid; echo begun; exec sleep 600", on_line=lambda *_: session.stop())
    assert caught.value.tail == ("begun",)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), "the command ends")
    with pytest.raises(CommandStopped):
        session.run("true")


def test_a_failing_sink_ends_the_command_and_comes_through(session: Session, tmp_path: Path) -> None:
    def on_line(stream: str, line: str) -> None:
        raise RuntimeError("the sink is full")

    with pytest.raises(RuntimeError, match="the sink is full"):
        session.run(f"echo $$ > {tmp_path}/pid; echo x; exec sleep 60", on_line=on_line)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), "the command ends")


@pytest.mark.parametrize("size", [0, 1, 300, 3_000_000])
def test_files_go_there_and_back_unchanged(session: Session, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"\n" * (size % 256)
    session.put(content, f"{tmp_path}/a 'strange' name", mode=0o600)
    assert session.get(f"{tmp_path}/a 'strange' name") == content
    assert (tmp_path / "a 'strange' name").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a 'strange' name"]


def test_a_local_file_is_streamed_to_the_node(session: Session, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x" * 2_500_000)
    session.put(tmp_path / "here", f"{tmp_path}/there", mode=0o755)
    assert (tmp_path / "there").read_bytes() == b"x" * 2_500_000
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o755


def test_putting_where_nothing_can_be_put_says_why(session: Session, tmp_path: Path) -> None:
    with pytest.raises(RemoteFailure, match=r"cannot put .*/missing/x on node 1000 .*[Dd]irectory"):
        session.put(b"x" * 100_000, f"{tmp_path}/missing/x")
    with pytest.raises(RemoteFailure, match="it is a folder"):
        session.put(b"x", str(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_and_leaves_nothing_behind(session: Session, tmp_path: Path) -> None:
    with pytest.raises(RemoteFailure):
        session.put_files({"x": (b"x" * 100, 0o644)}, "/dev/full/x")


def test_getting_what_is_not_there_is_not_found(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is not on node 1000"):
        session.get(f"{tmp_path}/nothing")
    with pytest.raises(RemoteFailure):
        session.get(str(tmp_path))


def test_many_files_arrive_with_one_command(session: Session, tmp_path: Path) -> None:
    files = {f"a/b {n}": (f"text {n}".encode(), 0o755 if n % 2 else 0o600) for n in range(50)}
    session.put_files(files, f"{tmp_path}/new folder")
    for path, (content, mode) in files.items():
        assert (tmp_path / "new folder" / path).read_bytes() == content
        assert (tmp_path / "new folder" / path).stat().st_mode & 0o777 == mode


HOSTILE = [
    "",
    "a b'c",
    'quo"te',
    "$HOME `id` $(id)",
    "back\\slash\\n",
    "two\nlines\n",
    "percent %s %%",
    "čau 🐎",
    "-n",
    "!x;&|",
]


def test_environment_values_arrive_exactly_whatever_is_in_them(session: Session, tmp_path: Path) -> None:
    variables = {f"V{n}": value for n, value in enumerate(HOSTILE)}
    session.put(export_lines(variables).encode(), f"{tmp_path}/env", mode=0o600)
    session.run(f". {tmp_path}/env; env -0 > {tmp_path}/out")
    seen = dict(line.split("=", 1) for line in (tmp_path / "out").read_text().split("\0") if "=" in line)
    assert {name: seen[name] for name in variables} == variables


def test_secrets_are_redacted_in_lines_tails_and_errors(session: Session) -> None:
    session.redactor.add("hunter2-secret")
    seen: list[str] = []
    result = session.run("echo my hunter2-secret; echo hunter2-secret >&2", on_line=lambda _, line: seen.append(line))
    assert sorted(seen) == ["***", "my ***"]
    assert "hunter2" not in result.stdout + result.stderr + "".join(result.tail)
    with pytest.raises(CommandTimedOut) as caught:
        session.run("echo hunter2-secret; sleep 600", timeout=3)
    assert caught.value.tail == ("***",)


def test_a_channel_refused_without_a_reason_is_asked_for_again_on_a_living_connection() -> None:
    class Refusing:
        """What paramiko does to one of two threads that a server refuses a channel at the same moment."""

        def __init__(self, *, lives: bool) -> None:
            self.lives, self.asked = lives, 0

        def is_active(self) -> bool:
            return self.lives

        def open_session(self, timeout: float) -> str:
            self.asked += 1
            if self.asked == 1:
                raise paramiko.SSHException("Unable to open channel.")
            return "channel"

    living, gone = Refusing(lives=True), Refusing(lives=False)
    open_on = lambda transport: Execution(transport, Limits(), "n", lambda: False)._open()  # noqa: E731
    assert (open_on(living), living.asked) == ("channel", 2)
    with pytest.raises(NoChannel, match="Unable to open channel"):
        open_on(gone)
    assert gone.asked == 1


def test_twenty_threads_share_one_connection(session: Session) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(session.run(f"sleep 0.1; echo {n}").stdout))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, answers)) == list(range(20))


def test_the_library_says_nothing_of_its_own(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    session.run("true")
    ours = {
        threading.get_ident(),
        session._link._open().transport.ident,
    }  # connections of other tests may still be ending
    gc.collect()
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        session.run("true")
    said = [record for record in caplog.records if "paramiko" in record.name or "wire" in record.name]
    assert [record for record in said if record.thread in ours] == []
