"""Claim: our layer adds less than a fifth to what bare Prefect costs a task run, and keeps four fifths of its rate.

With a provider and an automator that do nothing (``noop_plugin``), a cluster's tasks run beside as many task runs of a
plain flow, in turn, on the same Prefect server, each in a process of its own. CPU of that process and of the server is
counted until the server has recorded every task run, and what its database grows by; imports and the opening of an
empty store are left out. Then tasks that take their time, some of them much longer: from the first one's start to the
last one's end, with both schedules, beside the ideal, and beside the ideal of an engine that starts no more tasks a
second than bare Prefect has just managed.

    python benchmarks/orchestration.py [--nodes 100,1000] [--rounds 3] [--makespan 60]
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from noop_plugin import ACTIONS, DURATIONS, duration, installed

if TYPE_CHECKING:
    from coopr_core.planner import Plan, Schedule, Task

THREADS = 16
"""How many tasks run at once where the rate is measured."""

STRAGGLING = "0.3 0.05 10"
"""Seconds of a task, the share of stragglers, how many times as long those take."""

IMPORTED = ("fastapi.encoders", "paramiko")
"""What is imported only when a flow with parameters, or one of ours, runs: no cost of a task, left out of both."""

MOST_CPU = 1.2
LEAST_RATE = 0.8
LONGEST_MAKESPAN = 1.1
CATCH_UP_SECONDS = 180


def main() -> int:
    """Measure, print the tables, fail when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="100", help="sizes of clusters, seven tasks a node")
    parser.add_argument("--rounds", type=int, default=3, help="how often bare Prefect and ours are run in turn")
    parser.add_argument("--makespan", default="60", help="sizes of clusters with stragglers; 0 is none")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=THREADS, help=argparse.SUPPRESS)
    parser.add_argument("--schedule", default="stages", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=math.inf, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kind, size = given.child
        child = bare if kind == "bare" else ours
        print(json.dumps(child(Path(given.place), int(size), given.threads, given.schedule, given.rate)))
        return 0
    place = Path(tempfile.mkdtemp(prefix="coopr-bench-"))
    os.environ.update(COOPR_STATE_DIR=str(place / "state"), XDG_CONFIG_HOME=str(place))
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "COOPR_DATABASE_URL"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from flows.server import ensure_server, stop_server

    try:
        server = ensure_server()
        assert server.pid
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        broken: list[str] = []
        rate = math.inf
        for size in given.nodes.split(","):
            rate, problems = rates(place, server, int(size), given.rounds)
            broken += problems
        for nodes in filter(None, map(int, given.makespan.split(","))):
            broken += makespans(place, server, nodes, rate)
    finally:
        stop_server()
        shutil.rmtree(place, ignore_errors=True)
    print(*broken, sep="\n")
    return 1 if broken else 0


def rates(place: Path, server: Any, nodes: int, rounds: int) -> tuple[float, list[str]]:
    """Print what a task costs, bare and ours; return the rate of bare Prefect and the limits that are broken."""
    tasks = nodes * len(ACTIONS)
    print(f"{tasks} tasks, {THREADS} at once, median of {rounds} rounds")
    row("", "client ms", "server ms", "both ms", "tasks/s", "memory MB", "database KB")
    found: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for _ in range(rounds):
        for kind, rows in found.items():
            rows.append(measured(place, server, kind, nodes, THREADS))
    columns = ("client", "server", "both", "rate", "memory", "grown")
    bare, ours = ([statistics.median(row[key] for row in rows) for key in columns] for rows in found.values())
    row("bare Prefect", *(f"{value:.1f}" for value in bare))
    row("ours", *(f"{value:.1f}" for value in ours))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    row("ratio", *(f"{value:.2f}" for value in ratios))
    print()
    cpu, rate = ratios[2:4]
    problems = []
    if cpu > MOST_CPU:
        problems.append(f"{tasks} tasks: {cpu:.2f} times the CPU of bare Prefect; the limit is {MOST_CPU}")
    if rate < LEAST_RATE:
        problems.append(f"{tasks} tasks: {rate:.2f} of the rate of bare Prefect; the limit is {LEAST_RATE}")
    return bare[3], problems


def row(name: str, *values: str) -> None:
    """Print a line of a table."""
    print(f"{name:<14}" + "".join(f"{value:>13}" for value in values), flush=True)


def makespans(place: Path, server: Any, nodes: int, rate: float) -> list[str]:
    """Print how long tasks that take their time take together, and the ideals; the limits that are broken."""
    os.environ[DURATIONS] = STRAGGLING
    seconds, share, times = STRAGGLING.split()
    print(f"{nodes} nodes x {len(ACTIONS)} tasks of {seconds} s, {float(share):.0%} of them {times} times as long")
    row("", "make-span s", "ideal s", "ratio", f"at {rate:.0f}/s: s", "ratio")
    problems = []
    for schedule in ("stages", "dataflow"):
        found = measured(place, server, "ours", nodes, nodes, schedule, rate)
        span, best, bound = (found[key] for key in ("makespan", "ideal", "bound"))
        row(schedule, *(f"{value:.2f}" for value in (span, best, span / best, bound, span / bound)))
        if schedule == "dataflow" and span / bound > LONGEST_MAKESPAN:
            problems.append(f"dataflow took {span / bound:.2f} times the ideal; the limit is {LONGEST_MAKESPAN}")
    del os.environ[DURATIONS]
    return problems


def ideal(plan: Plan, threads: int, schedule: Schedule, rate: float) -> float:
    """Return the make-span without any cost, when no more tasks than ``rate`` start in a second."""
    walker = plan.walk(schedule=schedule)
    waiting: deque[Task] = deque()
    running: list[tuple[float, Task]] = []
    now = started = 0.0
    while True:
        waiting.extend(walker.ready())
        while waiting and len(running) < threads:
            task = waiting.popleft()
            started = max(started, now) + 1 / rate
            heapq.heappush(running, (started + duration(task.node, task.action), task))
        if not running:
            return now
        now, task = heapq.heappop(running)
        walker.complete(task)


def measured(
    place: Path,
    server: Any,
    kind: str,
    nodes: int,
    threads: int,
    schedule: str = "stages",
    rate: float = math.inf,
) -> dict[str, float]:
    """Run one flow in a process of its own: CPU ms per task of client and server, tasks a second, MB, KB per task.

    Says so when the server has not recorded all of its task runs ``CATCH_UP_SECONDS`` after its end.
    """
    process = psutil.Process(server.pid)
    tasks = nodes * len(ACTIONS)
    size, recorded = _database_bytes(server), _recorded(server)
    before = sum(process.cpu_times()[:2])
    script = [sys.executable, str(Path(__file__)), "--child", kind, str(nodes), "--place", str(place)]
    output = subprocess.run(
        [*script, "--threads", str(threads), "--schedule", schedule, "--rate", str(rate)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    child = json.loads(output.splitlines()[-1])
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while _recorded(server) < recorded + tasks and time.monotonic() < deadline:
        time.sleep(1)
    time.sleep(2)
    if lost := recorded + tasks - _recorded(server):
        print(f"{kind}: the server has not recorded {lost} of {tasks} task runs")
    used = sum(process.cpu_times()[:2]) - before
    return {
        "client": child["cpu"] / tasks * 1000,
        "server": used / tasks * 1000,
        "both": (child["cpu"] + used) / tasks * 1000,
        "rate": tasks / child["seconds"],
        **{key: child.get(key, 0.0) for key in ("makespan", "ideal", "bound")},
        "memory": child["memory"],
        "grown": (_database_bytes(server) - size) / tasks / 1000,
    }


def _database_bytes(server: Any) -> int:
    return sum(file.stat().st_size for file in server.home.glob("prefect.db*"))


def _recorded(server: Any) -> int:
    """Return how many task runs Prefect's database has recorded the end of."""
    import sqlite3

    with sqlite3.connect(f"file:{server.home / 'prefect.db'}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'").fetchone()[0])


def bare(_place: Path, nodes: int, threads: int, _schedule: str, _rate: float) -> dict[str, float]:
    """Run as many task runs of a plain flow."""
    from flows.server import ensure_server

    ensure_server()
    for library in IMPORTED:
        import_module(library)
    from prefect import flow, tags, task
    from prefect.cache_policies import NO_CACHE
    from prefect.task_runners import ThreadPoolTaskRunner

    @task(persist_result=False, cache_policy=NO_CACHE, task_run_name="noop {number}")
    def noop(number: int) -> None:
        pass

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=threads), persist_result=False)
    def plain() -> None:
        with tags("cluster:bare", "action:NOOP"):
            futures = [noop.submit(number) for number in range(nodes * len(ACTIONS))]
        for future in futures:
            future.wait()

    return _timed(plain)


def ours(place: Path, nodes: int, threads: int, schedule: Schedule, rate: float) -> dict[str, float]:
    """Create a cluster; what is imported for it, and the empty store, are there before."""
    catalog = installed(place / "plugin")
    from flows.server import ensure_server

    ensure_server()
    from coopr_core.planner import Plan
    from coopr_core.store import Store
    from flows import create_cluster

    for room in ("catalog.catalog", "solver.entry", "planner.planning", "macros", "remote.access", "store.jobs"):
        import_module(f"coopr_core.{room}")
    for library in IMPORTED:
        import_module(library)
    Store.open().close()
    created: list[Any] = []
    row = _timed(
        lambda: created.append(
            create_cluster(
                name=f"noop{int(time.time())}",
                template="noop",
                size=nodes,
                catalog=[str(catalog)],
                max_concurrency=threads,
                schedule=schedule,
            )
        )
    )
    with Store.open() as store:
        job = created[0]["job"]
        spans = [(task.started, task.ended) for task in store.tasks(job)]
        plan = Plan.from_json(store.recorded_plan(job))
    best, bound = (ideal(plan, threads, schedule, most) for most in (math.inf, rate))
    first, last = min(start for start, _ in spans if start), max(end for _, end in spans if end)
    return {**row, "makespan": (last - first).total_seconds(), "ideal": best, "bound": bound}


def _timed(flow: Any) -> dict[str, float]:
    process = psutil.Process()
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    flow()
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "cpu": sum(process.cpu_times()[:2]) - before,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


if __name__ == "__main__":
    sys.exit(main())
