"""Claim: fifty local nodes on a two-core machine are made in seconds, cost tens of megabytes, and add milliseconds.

Makes, uses and deletes nodes of a state folder of its own, and prints times, memory, and the latency of a command over
SSH beside the limit: the same command as a bare subprocess of the benchmark.

    python benchmarks/local_nodes.py [--nodes 50] [--commands 200]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncssh
import psutil

from coopr_core.model.placement import Placement
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import Machine, MachineRequest
from coopr_core.providers.local import LocalProvider
from coopr_core.providers.scope import Scope

T = TypeVar("T")

COMMAND = "echo done"
THREADS = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--commands", type=int, default=200, help="commands one after another, for the latency")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="coopr-bench-"))
    place.chmod(0o711)
    try:
        measure(place, arguments.nodes, arguments.commands)
    finally:
        shutil.rmtree(place)


def measure(place: Path, nodes: int, commands: int) -> None:
    """Make, use and delete the nodes."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    provider = Cloud(LocalProvider(state_dir=place))
    requests = [_request(number, key.export_public_key().decode()) for number in range(nodes + 1)]
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")

    first, seconds = timed(lambda: provider.confirm(provider.create(requests[0])))
    row("first node (image looked up or made, server started)", f"{seconds:.2f} s")

    with ThreadPoolExecutor(THREADS) as pool:
        made, seconds = timed(lambda: list(pool.map(lambda r: provider.confirm(provider.create(r)), requests[1:])))
        row(f"create + confirm of {nodes} nodes", f"{seconds:.2f} s", f"{seconds / nodes * 1000:.0f} ms each")
        asyncio.run(use(first, made, key, commands))
        server = _server(place)
        memory = server.memory_full_info()
        row("memory of the server after that", f"{memory.rss / 1e6:.0f} MB RSS", f"{memory.pss / 1e6:.0f} MB PSS")
        row("processor time of the server", f"{sum(server.cpu_times()[:2]):.2f} s")
        _, seconds = timed(lambda: list(pool.map(provider.delete, [first, *made])))
        row(f"delete of {nodes + 1} nodes", f"{seconds:.2f} s", f"{seconds / (nodes + 1) * 1000:.0f} ms each")


async def use(first: Machine, machines: list[Machine], key: asyncssh.SSHKey, commands: int) -> None:
    """Run commands: one after another on one node, then on all nodes at once."""
    limit = [timed(bare_subprocess)[1] for _ in range(commands)]
    connection = await connect(first, key)
    await connection.run(COMMAND)
    taken = [await awaited(lambda: connection.run(COMMAND, check=True)) for _ in range(commands)]
    connection.close()
    bare, ssh = statistics.median(limit), statistics.median(taken)
    row("bare subprocess (the limit)", f"{bare * 1000:.1f} ms median", f"{worst(limit) * 1000:.1f} ms p95")
    row("command over SSH, connection reused", f"{ssh * 1000:.1f} ms median", f"{worst(taken) * 1000:.1f} ms p95")
    row("  more than the limit", f"{(ssh - bare) * 1000:.1f} ms", f"ratio {ssh / bare:.1f}")

    connections: list[asyncssh.SSHClientConnection] = []

    async def connect_all() -> None:
        connections.extend(await asyncio.gather(*(connect(machine, key) for machine in machines)))

    async def ten(connection: asyncssh.SSHClientConnection) -> None:
        for _ in range(10):
            await connection.run(COMMAND, check=True)

    seconds = await awaited(connect_all)
    row(f"{len(machines)} connections at once", f"{seconds:.2f} s")
    seconds = await awaited(lambda: asyncio.gather(*(ten(connection) for connection in connections)))
    count = 10 * len(machines)
    with ThreadPoolExecutor(THREADS) as pool:
        bare = timed(lambda: list(pool.map(bare_subprocess, range(count))))[1]
    row(f"{count} commands, 10 on each node", f"{seconds:.2f} s", f"{count / seconds:.0f}/s")
    row(f"{count} bare subprocesses, {THREADS} at once", f"{bare:.2f} s", f"ratio {seconds / bare:.1f}")
    for connection in connections:
        connection.close()


async def connect(machine: Machine, key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
    """A connection to a node, its host key pinned."""
    address = machine.addresses["access_v4"]
    pinned = asyncssh.import_known_hosts("".join(f"[{address}]:{machine.port} {k}\n" for k in machine.host_keys))
    return await asyncssh.connect(address, machine.port, client_keys=[key], known_hosts=pinned, config=[], username="x")


def bare_subprocess(_: int = 0) -> None:
    """The command without any of us."""
    subprocess.run(["/bin/bash", "-c", COMMAND], capture_output=True, check=True)


def worst(seconds: list[float]) -> float:
    """The time that all but one in twenty stay below."""
    return sorted(seconds)[int(len(seconds) * 0.95)]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work gives, and the seconds it takes."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


async def awaited(work: Callable[[], Awaitable[object]]) -> float:
    """The seconds until the work is done."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def row(what: str, *values: str) -> None:
    """One line of the table."""
    print(f"{what:<55}" + "".join(f"{value:>18}" for value in values))


def _request(number: int, authorized_key: str) -> MachineRequest:
    return MachineRequest(
        token=f"bench-{number}",
        scope=Scope(cluster_id="00000001", cluster_name="bench", authorized_key=authorized_key),
        node=1000 + number,
        host_name=f"bench1-{1000 + number}",
        placement=Placement(flavor="small", image="python"),
    )


def _server(place: Path) -> psutil.Process:
    return psutil.Process(json.loads((place / "local" / "server" / "server.json").read_text())["pid"])


if __name__ == "__main__":
    main()
