"""Any number of nodes within the default limit of open files: a server that is each address of 127/8, a node each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_servers import AsyncServer, running

from coopr_core.remote.keys import ensure_client_key

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers at every address of 127/8")

WORK = """
import json, os, resource, sys, threading
port, host_key, key, nodes, limit, at_once, passes = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

from pathlib import Path
from coopr_core.providers.contract import Machine
from coopr_core.remote.access import NodeAccess, most_links
from coopr_core.remote.endpoint import Limits

over, most_files, most_open = threading.Event(), 0, 0

def watch():
    global most_files, most_open
    while not over.wait(0.01):
        most_files = max(most_files, len(os.listdir("/proc/self/fd")))
        most_open = max(most_open, access.open_links)

def machine(number):
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    return Machine(f"t{number}", "p", "00000001", number, {"access_v4": address}, port, "me", [host_key])

def work(number):
    return access.session(machine(number)).run(f"echo {number}").stdout

# One server is all the nodes, on a machine that does other things too: how soon it answers is not what is looked at.
patient = Limits(connect=120, handshake=120, authentication=120, channel=120)
with NodeAccess(Path(key), limits=patient) as access:
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    said = [access.each(range(nodes), work, at_once) for _ in range(passes)]
    over.set()
    watcher.join()
print(json.dumps([said, most_files, most_open, most_links()]))
"""


@pytest.fixture(scope="module")
def everywhere(key_path: Path) -> Iterator[AsyncServer]:
    with running(AsyncServer(ensure_client_key(key_path), address="0.0.0.0")) as server:
        yield server


@pytest.mark.parametrize(
    ("nodes", "limit", "at_once", "passes"),
    [(60, 64, 40, 2), pytest.param(2000, 1024, 128, 1, marks=pytest.mark.real)],
)
def test_all_nodes_are_worked_on_within_the_limit_of_open_files(
    everywhere: AsyncServer, key_path: Path, nodes: int, limit: int, at_once: int, passes: int
) -> None:
    asked = [everywhere.port, everywhere.host_keys[0], str(key_path), nodes, limit, at_once, passes]
    done = subprocess.run(
        [sys.executable, "-c", WORK, json.dumps(asked)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, most_files, most_open, room = json.loads(done.stdout)
    assert said == [[f"{number}\n" for number in range(nodes)]] * passes
    assert most_files <= limit
    assert 1 < most_open <= 2 * room
