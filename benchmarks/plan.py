"""Claim: planning and walking a plan cost time and memory linear in the number of tasks.

Plans CLUSTER_CREATE of the public hadoop-distributed layout (one master, the rest workers) at growing sizes, each in a
process of its own, and prints CPU milliseconds with their growth exponent (1 is linear) beside the original's figures.

    python benchmarks/plan.py [--sizes 10,100,300,1000,10000] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from itertools import pairwise

ORIGINAL = {10: "65", 100: "469", 300: "5,563", 1000: "none after 120 s"}
"""CPU milliseconds of the original's planner for the same plan, cold, on one core."""

MASTER = ("base", "hadoop-hdfs-namenode", "hadoop-yarn-resourcemanager", "hbase-master", "zookeeper-server")
WORKER = ("base", "hadoop-hdfs-datanode", "hadoop-yarn-nodemanager", "hbase-regionserver")
SERVICES = {
    "base": ("", "", ""),
    "hadoop-hdfs-namenode": ("base", "", "initialize start stop"),
    "hadoop-hdfs-datanode": ("base", "hadoop-hdfs-namenode", "start stop"),
    "hadoop-yarn-resourcemanager": ("base", "hadoop-hdfs-namenode hadoop-hdfs-datanode", "initialize start stop"),
    "hadoop-yarn-nodemanager": ("base", "hadoop-yarn-resourcemanager", "start stop"),
    "hbase-master": (
        "base zookeeper-server",
        "hadoop-hdfs-namenode hadoop-hdfs-datanode zookeeper-server",
        "initialize start stop",
    ),
    "hbase-regionserver": ("base zookeeper-server", "hbase-master zookeeper-server", "start stop"),
    "zookeeper-server": ("base", "", "start stop"),
}
"""What each service needs to be installed, what it needs at run time, its actions besides install and configure."""


def measure(nodes: int) -> dict[str, float]:
    """Plan and walk a cluster of that many nodes in this process; CPU milliseconds, counts and megabytes."""
    from coopr_core.catalog.entities import Dependencies, Provisioner, Requirements, Service, ServiceAction
    from coopr_core.model.layout import ClusterLayout, Node

    services = {
        name: Service(
            name=name,
            dependencies=Dependencies(
                install=Requirements(requires=tuple(install.split())),
                runtime=Requirements(requires=tuple(runtime.split())),
            ),
            provisioner=Provisioner(
                actions={action: ServiceAction() for action in ("install", "configure", *actions.split())}
            ),
        )
        for name, (install, runtime, actions) in SERVICES.items()
    }
    layout = ClusterLayout(
        nodes=tuple(Node(1000 + place, services=WORKER if place else MASTER) for place in range(nodes)),
        services=services,
    )
    clock = [time.process_time()]
    from coopr_core.planner import plan

    for _ in ("cold", "warm"):
        made = plan("CLUSTER_CREATE", layout)
        assert len(made.tasks) == len(made)
        clock.append(time.process_time())
    for schedule in ("stages", "dataflow"):
        walker = made.walk(schedule)
        while not walker.finished:
            for task in walker.ready():
                walker.complete(task)
        clock.append(time.process_time())
    cold, warm, stages, dataflow = (1000 * (after - before) for before, after in pairwise(clock))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    graph = made.graph
    pairs = sum(
        len(graph.groups[step.group]) * sum(len(graph.groups[graph.steps[m].group]) for m in graph.joins[j].members)
        for step in graph.steps
        for j in step.joins
    )
    return {
        "tasks": len(made),
        "pairs": pairs,
        "cold": cold,
        "warm": warm,
        "stages": stages,
        "dataflow": dataflow,
        "mb": peak,
    }


def best(nodes: int, repeat: int) -> dict[str, float]:
    """The least of several runs, each in a fresh process."""
    runs = []
    for _ in range(repeat):
        command = [sys.executable, __file__, "--one", str(nodes)]
        runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {key: min(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,300,1000,3000,10000")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    sizes = [int(size) for size in arguments.sizes.split(",")]
    results = {size: best(size, arguments.repeat) for size in sizes}
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; CPU ms, one core\n"
    )
    print("| nodes | tasks | pairs not made | first plan | plan | walk stages | walk dataflow | peak MB | original |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for size, found in results.items():
        print(
            f"| {size:,} | {found['tasks']:,} | {found['pairs']:,} | {found['cold']:.0f} | {found['warm']:.1f} "
            f"| {found['stages']:.1f} | {found['dataflow']:.1f} | {found['mb']:.0f} | {ORIGINAL.get(size, '')} |"
        )
    print("\nGrowth exponent of CPU time over tasks (1 is linear), and of the pairs a pairwise graph would hold:\n")
    print("| nodes | plan | walk stages | walk dataflow | pairs |")
    print("|---|---:|---:|---:|---:|")
    for small, large in pairwise(sizes):
        more = math.log(results[large]["tasks"] / results[small]["tasks"])
        exponents = [
            math.log(max(results[large][key], 1e-9) / max(results[small][key], 1e-9)) / more
            for key in ("warm", "stages", "dataflow", "pairs")
        ]
        print(f"| {small:,} -> {large:,} | " + " | ".join(f"{exponent:.2f}" for exponent in exponents) + " |")
    print("\nfirst plan: a fresh process, most of it the import of networkx; plan: any later one, all tasks listed.")


if __name__ == "__main__":
    main()
