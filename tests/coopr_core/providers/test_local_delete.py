"""Deleting a local node ends everything started on it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from local_lab import Lab
from watching import alive, wait_for

from coopr_core.providers.contract import Machine
from coopr_core.providers.local import processes, provider

pytestmark = pytest.mark.both

OVERWRITES_ITS_ENVIRONMENT = """
import ctypes, os, time
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, ord("x"), end - start)
os.chdir("/")
print(os.getpid(), flush=True)
devnull = os.open("/dev/null", os.O_RDWR)
for stream in (0, 1, 2):
    os.dup2(devnull, stream)
time.sleep(300)
"""

DAEMONS = {
    "in the background": "sleep 300 >/dev/null 2>&1 </dev/null & echo $!",
    "with setsid": "setsid nohup sleep 300 >/dev/null 2>&1 </dev/null & echo $!",
    "without environment, elsewhere": "cd /; env -i setsid sh -c 'echo $$; exec sleep 300 >/dev/null 2>&1 </dev/null'&",
    "without parents": "(setsid sh -c '(cd /; exec env -i sleep 300) >/dev/null 2>&1 </dev/null & echo $!') ",
    "deaf to TERM": "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 300; done' >/dev/null 2>&1 & echo $!",
    "stopped": "setsid sleep 300 >/dev/null 2>&1 </dev/null & sleep 0.1; kill -STOP $!; echo $!",
}


def start(lab: Lab, machine: Machine, command: str) -> int:
    with lab.connect(machine) as connection:
        pid = int(connection.run(command, hide=True, in_stream=False).stdout)
    assert alive(pid)
    return pid


def test_every_kind_of_daemon_ends_with_its_node_and_nothing_else_does(lab: Lab) -> None:
    doomed, other = lab.node(1000), lab.node(1001)
    pids = {name: start(lab, doomed, command) for name, command in DAEMONS.items()}
    neighbour = start(lab, other, DAEMONS["with setsid"])
    host = subprocess.Popen(["sleep", "300"], cwd=doomed.root)
    try:
        lab.provider().delete(doomed)
        assert {name: pid for name, pid in pids.items() if alive(pid)} == {}
        assert alive(neighbour)
        assert host.poll() is None
        assert not Path(doomed.root).exists()
        assert lab.run(other, "true").exited == 0
    finally:
        host.kill()
        host.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="writes over its environment by way of /proc")
def test_a_daemon_that_writes_over_its_environment_ends_with_its_node(lab: Lab) -> None:
    machine = lab.node()
    (lab.state_dir / "clobber.py").write_text(OVERWRITES_ITS_ENVIRONMENT)
    (lab.state_dir / "clobber.py").chmod(0o644)
    command = f"setsid python3 {lab.state_dir}/clobber.py & sleep 0.2"
    with lab.connect(machine) as connection:
        pid = int(connection.run(command, hide=True, in_stream=False).stdout)
    assert alive(pid)
    assert psutil.Process(pid).cwd() == "/"
    assert processes.MARK_VARIABLE not in Path(f"/proc/{pid}/environ").read_text()
    lab.provider().delete(machine)
    assert not alive(pid)


def test_where_the_kernel_keeps_no_mark_environment_parentage_and_folders_tell(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider.processes, "new_limit", lambda random: 0)
    machine, other = lab.node(1000), lab.node(1001)
    pids = [
        start(lab, machine, DAEMONS["with setsid"]),
        start(lab, machine, "env -i setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!"),
        start(lab, machine, "setsid sh -c 'env -i sleep 300 & wait' >/dev/null 2>&1 </dev/null & echo $!"),
    ]
    neighbour = start(lab, other, DAEMONS["with setsid"])
    lab.provider().delete(machine)
    assert not any(alive(pid) for pid in pids)
    assert alive(neighbour)


def test_deleting_again_is_fine(lab: Lab) -> None:
    machine = lab.node()
    lab.provider().delete(machine)
    lab.provider().delete(machine)
    assert lab.provider().machines(machine.cluster_id) == []


def test_a_delete_that_was_interrupted_is_finished_by_the_next(lab: Lab) -> None:
    machine = lab.node()
    pid = start(lab, machine, DAEMONS["with setsid"])
    folders = lab.provider()._folders
    folders.start_deleting(machine.provider_id)
    assert [found.token for found in lab.provider().machines(machine.cluster_id)] == [machine.token]
    lab.provider().delete(machine)
    assert not alive(pid)
    assert lab.provider().machines(machine.cluster_id) == []
    assert list(folders.nodes.iterdir()) == []


def test_a_node_half_deleted_is_made_anew_by_a_create_with_its_token(lab: Lab) -> None:
    request = lab.request()
    first = lab.provider().create(request)
    lab.provider()._folders.start_deleting(first.provider_id)
    second = lab.provider().create(request)
    assert second.host_keys != first.host_keys
    assert lab.run(lab.provider().confirm(second), "true").exited == 0


def test_a_node_is_deleted_without_a_server_too(lab: Lab) -> None:
    machine = lab.node()
    pid = start(lab, machine, DAEMONS["without environment, elsewhere"])
    server = lab.server()
    assert server is not None
    server.kill()
    wait_for(lambda: not alive(server.pid), "the server ends")
    lab.provider().delete(machine)
    assert not alive(pid)
    assert lab.server() is None


def test_a_command_under_way_ends_with_its_node(lab: Lab) -> None:
    machine = lab.node()
    with lab.connect(machine) as connection:
        promise = connection.run("echo $$; sleep 300", asynchronous=True, hide=True, in_stream=False)
        time.sleep(0.5)
        lab.provider().delete(machine)
        with pytest.raises(Exception, match=r"(?s).*"):
            promise.join()


def test_files_commands_made_unreadable_are_removed(lab: Lab) -> None:
    machine = lab.node()
    lab.run(machine, "mkdir -p deep/er && touch deep/er/file && chmod 0 deep/er deep && ln -s / link && mkfifo pipe")
    lab.provider().delete(machine)
    assert not Path(machine.root).exists()
    assert os.path.isdir("/")


def test_the_server_ends_with_the_last_node_and_takes_the_rest_with_it(lab: Lab) -> None:
    first, second = lab.node(1000), lab.node(1001)
    lab.provider().delete(first)
    assert lab.server() is not None
    lab.provider().delete(second)
    assert lab.server() is None
    local = lab.state_dir / "local"
    assert sorted(p.name for p in local.iterdir()) == ["nodes", "server", "server.log"]
    assert not (local / "server" / "control.sock").exists()
