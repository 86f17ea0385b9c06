#!/usr/bin/env python3
"""spark-standalone-worker: START ends when the master counts this very worker among its own."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))
sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "spark-software", "lib"))

from coopr_node.account import hand_over
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint, Member, get_json, members, this_member
from coopr_node.task import DATA, bind_address, config, number, remove_data, run_action, say
from spark_node import check_software, environment, jvm, master_state, master_url, write_settings

MAIN = "org.apache.spark.deploy.worker.Worker"
WORK = DATA / "work"

daemon = Daemon("spark-worker")


def install() -> None:
    """The software is spark-software's; here it is only made sure that it runs."""
    check_software()


def configure() -> None:
    """Write the settings."""
    write_settings()
    say(f"worker of {master_url()}: {config('spark.worker_cores')} cores, {config('spark.worker_memory')}")


def start() -> None:
    """Start the worker and wait until the master counts it."""
    hand_over(WORK)
    me = this_member(members("spark.worker_hosts", "spark.workers"))
    here, port, page = bind_address(), me.port(number("spark.worker_port")), me.port(number("spark.worker_ui_port"))
    resources = ["-c", config("spark.worker_cores"), "-m", config("spark.worker_memory"), "-d", WORK]
    daemon.start(
        jvm(MAIN, "--host", here, "--port", port, "--webui-port", page, *resources, master_url()),
        ready=lambda: _missing(me),
        timeout=number("spark.start_timeout"),
        listens=[Endpoint(here, port, "spark.worker_port"), Endpoint(here, page, "spark.worker_ui_port")],
        environment=environment(),
    )


def health() -> None:
    """The master counts this worker."""
    me = this_member(members("spark.worker_hosts", "spark.workers"))
    daemon.check(lambda: _missing(me))


def _missing(me: Member) -> str:
    """What keeps this worker from getting work; an earlier worker of this node may still be on the master's list."""
    page = f"http://{bind_address()}:{me.port(number('spark.worker_ui_port'))}/json/"
    identity = (get_json(page) or {}).get("id")
    if not identity:
        return f"{page} does not answer"
    known = {worker.get("id"): worker.get("state") for worker in master_state().get("workers", [])}
    if known.get(identity) == "ALIVE":
        return ""
    return f"{identity} is not registered with {master_url()}: {known.get(identity, 'the master does not know it')}"


run_action(
    {
        "install": install,
        "configure": configure,
        "start": start,
        "stop": daemon.stop,
        "remove": remove_data,
        "health": health,
    }
)
