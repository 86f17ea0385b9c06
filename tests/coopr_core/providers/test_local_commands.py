"""What a command on a local node may rely on."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from local_lab import Lab
from watching import alive, sleeping, wait_for

from coopr_core.providers.contract import Machine

pytestmark = pytest.mark.both

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def run(shared_lab: Lab, machine: Machine) -> Any:
    return lambda command, **options: shared_lab.run(machine, command, **options)


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 3", 3), ("no-such-command", 127), ("exit 255", 255)]
)
def test_the_exit_status_is_the_commands_own(run: Any, command: str, status: int) -> None:
    assert run(command).exited == status


@pytest.mark.parametrize(("signal", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_command_ended_by_signal_n_has_status_128_plus_n(run: Any, signal: str, status: int) -> None:
    assert run(f"ulimit -c 0; kill -{signal} $$").exited == status


def test_output_and_errors_come_apart(run: Any) -> None:
    result = run("echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_large_output_arrives_whole(shared_lab: Lab, machine: Machine, openssh: None) -> None:
    ssh = [*shared_lab.ssh(machine), machine.addresses["access_v4"]]
    done = subprocess.run([*ssh, "head -c 20000000 /dev/zero | tr '\\0' x; exit 4"], capture_output=True)
    assert done.returncode == 4
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(b"x" * 20_000_000).digest()


def test_large_input_arrives_whole_and_ends(shared_lab: Lab, machine: Machine, openssh: None) -> None:
    ssh = [*shared_lab.ssh(machine), machine.addresses["access_v4"]]
    data = os.urandom(5_000_000)
    done = subprocess.run([*ssh, "sleep 0.2; sha256sum"], input=data, capture_output=True)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_a_command_that_does_not_read_its_input_still_ends(shared_lab: Lab, machine: Machine, openssh: None) -> None:
    ssh = [*shared_lab.ssh(machine), machine.addresses["access_v4"]]
    done = subprocess.run([*ssh, "echo done"], input=b"x" * 5_000_000, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_terminal_is_a_controlling_terminal_of_the_right_size(run: Any) -> None:
    result = run("tty && echo ok > /dev/tty && stty size && [ -t 0 ] && [ -t 1 ] && [ -t 2 ]", pty=True)
    lines = result.stdout.split()
    assert result.exited == 0
    assert lines[0].startswith("/dev/")
    assert lines[1] == "ok"
    assert lines[2] == "24"


def test_an_interactive_shell_works_and_control_c_reaches_the_command(
    shared_lab: Lab, machine: Machine, openssh: None
) -> None:
    ssh = [*shared_lab.ssh(machine), "-tt", machine.addresses["access_v4"]]
    shell = subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert shell.stdin is not None
    mark = f"32{os.getpid() % 1000:03d}"
    shell.stdin.write(f"echo pid=$((40+2)); sleep {mark}\n".encode())
    shell.stdin.flush()
    wait_for(lambda: sleeping(mark), "the command runs")
    shell.stdin.write(b"\x03echo after=$((1+1))\nexit 5\n")
    shell.stdin.flush()
    output = shell.communicate(timeout=60)[0]
    assert b"pid=42" in output
    assert b"after=2" in output
    assert shell.returncode == 5


def test_a_node_has_its_own_folders_and_python(run: Any, machine: Machine) -> None:
    root = machine.root
    result = run('pwd; echo "$HOME"; echo "$TMPDIR"; echo "$COOPR_ROOT"; command -v python3 pip sudo; echo "$LANG"')
    lines = result.stdout.splitlines()
    assert lines[:4] == [f"{root}/home", f"{root}/home", f"{root}/tmp", root]
    assert lines[4:6] == [f"{root}/usr/local/bin/python3", f"{root}/usr/local/bin/pip"]
    assert lines[6].endswith("/bin/sudo")
    assert "UTF-8" in lines[7]
    assert run("touch $TMPDIR/a $HOME/b $COOPR_ROOT/var/lib/c $COOPR_CACHE/d && rm $COOPR_CACHE/d").exited == 0


def test_pip_on_a_node_installs_for_that_node_alone(run: Any, machine: Machine) -> None:
    result = run("python3 -c 'import sys; print(sys.prefix)'; pip --version; pip config debug | head -1; pip list")
    assert result.stdout.splitlines()[0] == f"{machine.root}/usr/local"
    assert "pip" in result.stdout.splitlines()[1]
    place = run("python3 -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'").stdout.strip()
    assert place.startswith(machine.root)
    assert run(f"touch {place}/x.py && python3 -c 'import x'").exited == 0


def test_proxies_certificates_and_pip_settings_are_handed_through_and_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "SSL_CERT_FILE", "PIP_INDEX_URL", "PIP_TARGET", "MY_PASSWORD"):
        monkeypatch.setenv(name, "given")
    variables = lab.run(lab.node(), "env").stdout
    for name in ("https_proxy", "SSL_CERT_FILE", "PIP_INDEX_URL"):
        assert f"{name}=given\n" in variables
    assert "MY_PASSWORD" not in variables
    assert "PIP_TARGET" not in variables
    server = lab.server()
    assert server is not None
    assert "MY_PASSWORD" not in server.environ()


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_started_as_root_commands_run_as_an_unprivileged_user_with_a_name(run: Any) -> None:
    result = run("id -u; id -G; id -un; cat /etc/shadow; ls /root; kill -0 1")
    lines = result.stdout.splitlines()
    assert lines[0] != "0"
    assert "0" not in lines[1].split()
    assert lines[2] == "nobody"
    assert result.stderr.count("denied") + result.stderr.count("not permitted") == 3
    assert run("python3 -c 'import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name)'").stdout == "nobody\n"


@pytest.mark.skipif(AS_ROOT, reason="needs an ordinary user")
def test_started_as_an_ordinary_user_commands_run_as_that_user(run: Any) -> None:
    assert run("id -u").stdout == f"{os.getuid()}\n"


@pytest.mark.parametrize(
    "command",
    ["sudo -n true", "sudo -u somebody -H sh -c true", "sudo -S -p 'Password: ' true", "sudo A=b sh -c '[ $A = b ]'"],
)
def test_sudo_runs_the_command_as_it_is(run: Any, command: str) -> None:
    assert run(command).exited == 0


def test_fabrics_sudo_works(shared_lab: Lab, machine: Machine) -> None:
    with shared_lab.connect(machine) as connection:
        assert connection.sudo("echo done", hide=True, in_stream=False).stdout.strip() == "done"


def test_no_signal_is_ignored_whoever_started_the_first_node(lab: Lab) -> None:
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        node = lab.node()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    ignored = int(lab.run(node, "grep SigIgn /proc/self/status").stdout.split()[1], 16)
    assert [number for number in numbers if ignored & 1 << number - 1] == []


def test_a_daemon_survives_its_session(run: Any) -> None:
    pid = int(run("setsid nohup sleep 60 >/dev/null 2>&1 </dev/null & echo $!").stdout)
    time.sleep(0.3)
    assert alive(pid)
    run(f"kill {pid}")


def test_what_a_command_leaves_in_the_background_survives_it(run: Any) -> None:
    pid = int(run("nohup sleep 60 >/dev/null 2>&1 </dev/null & echo $!").stdout)
    time.sleep(0.3)
    assert alive(pid)
    run(f"kill {pid}")


def test_a_daemon_that_keeps_its_streams_holds_the_command_up_only_so_long(run: Any) -> None:
    started = time.monotonic()
    result = run("echo before; setsid sleep 60 & echo $!")
    pid = int(result.stdout.split()[1])
    assert result.exited == 0
    assert time.monotonic() - started < 30
    assert alive(pid)
    assert f"left running ({pid} (sleep)) still had its output open" in result.stderr
    assert ">FILE 2>&1 &" in result.stderr
    run(f"kill {pid}")


def test_a_command_whose_client_goes_is_ended_with_its_group_before_the_next_one_starts(
    shared_lab: Lab, machine: Machine, openssh: None
) -> None:
    ssh = [*shared_lab.ssh(machine), machine.addresses["access_v4"]]
    client = subprocess.Popen([*ssh, "trap '' TERM HUP; echo $$; sleep 61 & echo $!; wait"], stdout=subprocess.PIPE)
    assert client.stdout is not None
    pids = [int(client.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in pids)
    client.kill()
    client.communicate()
    time.sleep(0.2)
    assert shared_lab.run(machine, "true").exited == 0
    assert not any(alive(pid) for pid in pids)


def test_a_signal_from_the_client_reaches_the_command(shared_lab: Lab, machine: Machine) -> None:
    import asyncio

    import asyncssh

    async def interrupt() -> int | None:
        async with asyncssh.connect(
            machine.addresses["access_v4"],
            machine.port,
            known_hosts=None,
            username="x",
            client_keys=[str(shared_lab.key.path)],
            config=[],
        ) as connection:
            process = await connection.create_process("trap 'exit 9' INT; echo up; while :; do sleep 0.05; done")
            await process.stdout.readline()
            process.send_signal("INT")
            return (await process.wait(timeout=10)).exit_status

    assert asyncio.run(interrupt()) == 9


def test_another_key_is_refused(shared_lab: Lab, machine: Machine) -> None:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    with pytest.raises(paramiko.AuthenticationException):
        client.connect(
            machine.addresses["access_v4"],
            machine.port,
            "root",
            pkey=paramiko.ECDSAKey.generate(),
            look_for_keys=False,
            allow_agent=False,
        )
    client.close()


def test_many_commands_at_once_over_one_connection(shared_lab: Lab, machine: Machine) -> None:
    with shared_lab.connect(machine) as connection:
        connection.open()
        results: dict[int, str] = {}

        def one(number: int) -> None:
            results[number] = connection.run(f"echo {number}", hide=True, in_stream=False).stdout

        threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: f"{number}\n" for number in range(20)}


def test_the_log_of_the_server_holds_no_command(shared_lab: Lab, machine: Machine) -> None:
    shared_lab.run(machine, "true # s3cret-word")
    log = shared_lab.state_dir / "local" / "server.log"
    assert "s3cret-word" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
