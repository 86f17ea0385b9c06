"""What a command on a node costs, beside ``ssh`` and fabric's own runner, on a real ``sshd`` of this machine.

Run: ``python benchmarks/remote.py``. Needs OpenSSH's server and client. The claims: a command on the reused connection
costs a fraction of a new ``ssh``; 10 MB of output take well under a second (limit: 2 s) in bounded memory; a file goes
over as fast as the network allows.
"""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "coopr_core" / "remote"))

import fabric
import paramiko
from ssh_servers import OpenSshServer, machine_at, running

from coopr_core.remote.access import NodeAccess
from coopr_core.remote.keys import ensure_client_key, load_key

OUTPUT = 10_000_000
OUTPUT_LIMIT_SECONDS = 2.0
PRINT_10_MB = f"yes 0123456789abcdef0123456789abcdef | head -c {OUTPUT}"


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The seconds one call takes, over ``times`` calls."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def main() -> int:
    """Measure, print the table, and fail when a limit is broken."""
    folder = Path(tempfile.mkdtemp(prefix="coopr-benchmark-"))
    key = folder / "id_ed25519"
    public = ensure_client_key(key)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print(f"{'':<58} {'each':>12} {'ratio':>8}")
    with running(OpenSshServer(folder / "sshd", public)) as server, NodeAccess(key) as pool:
        return measure(server, pool, key, folder)


def measure(server: Any, pool: NodeAccess, key: Path, folder: Path) -> int:
    """The table's lines."""
    user = getpass.getuser()
    session = pool.session(machine_at(server.port, server.host_keys, user=user))
    connecting = seconds(lambda: session.run("true"))
    ours = seconds(lambda: session.run("true"), 100)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_keys[0]}\n")
    ssh = [
        "ssh",
        "-F",
        "none",
        "-i",
        key,
        "-p",
        str(server.port),
        "-o",
        f"UserKnownHostsFile={known_hosts}",
        f"{user}@127.0.0.1",
    ]
    client = seconds(lambda: subprocess.run([*ssh, "true"], check=True, stdin=subprocess.DEVNULL), 20)
    local = seconds(lambda: subprocess.run(["sh", "-c", "true"], check=True), 50)
    plain = fabric.Connection(
        "127.0.0.1",
        user=user,
        port=server.port,
        config=fabric.Config(overrides={"load_ssh_configs": False}),
        connect_kwargs={"pkey": load_key(key), "allow_agent": False, "look_for_keys": False},
    )
    plain.client.get_host_keys().add(
        f"[127.0.0.1]:{server.port}", "ssh-ed25519", paramiko.PKey.from_path(folder / "sshd" / "host")
    )
    plain.run("true", hide=True, in_stream=False)
    fabrics = seconds(lambda: plain.run("true", hide=True, in_stream=False), 40)
    line("first command, connecting", connecting, ours)
    line("command on the reused connection", ours, ours)
    line("the same with fabric's own runner", fabrics, ours)
    line("a new `ssh` for each command", client, ours)
    line("subprocess on this machine, without SSH", local, ours)
    print(f"{'commands a second on one connection':<58} {1 / ours:>10.0f}/s")
    nodes = [pool.session(machine_at(server.port, server.host_keys, user=user, token=f"n{n}")) for n in range(20)]

    def ten_each() -> None:
        threads = [threading.Thread(target=lambda s=s: [s.run("true") for _ in range(10)]) for s in nodes]  # type: ignore[misc]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    print(f"{'20 nodes, connecting and 10 commands each':<58} {seconds(ten_each):>10.2f} s")
    tracemalloc.start()
    output = seconds(lambda: session.run(PRINT_10_MB, on_line=lambda *_: None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    output = min(output, seconds(lambda: session.run(PRINT_10_MB, on_line=lambda *_: None)))
    theirs = seconds(lambda: plain.run(PRINT_10_MB, hide=True, in_stream=False))
    line("10 MB of output, line by line", output, output)
    line("the same with fabric's own runner", theirs, output)
    print(f"{'memory while 10 MB come':<58} {peak / 1e6:>10.1f} MB")
    content = os.urandom(20_000_000)
    put = seconds(lambda: session.put(content, str(folder / "put")))
    got = seconds(lambda: session.get(str(folder / "put")))
    print(f"{'putting and getting 20 MB':<58} {20 / put:>10.0f} MB/s {20 / got:>5.0f} MB/s")
    plain.close()
    if output > OUTPUT_LIMIT_SECONDS:
        print(f"\n10 MB of output took {output:.1f} s; the limit is {OUTPUT_LIMIT_SECONDS} s")
        return 1
    return 0


def line(name: str, taken: float, ours: float) -> None:
    """One line of the table, with the ratio to our own value."""
    print(f"{name:<58} {taken * 1000:>9.1f} ms {taken / ours:>7.1f}x")


if __name__ == "__main__":
    sys.exit(main())
