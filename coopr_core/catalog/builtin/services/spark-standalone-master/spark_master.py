#!/usr/bin/env python3
"""spark-standalone-master: START ends when the master is the leader and its page says so."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))
sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "spark-software", "lib"))

from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint
from coopr_node.task import bind_address, number, remove_data, run_action, say
from spark_node import check_software, environment, jvm, master_state, master_url, write_commands, write_settings

MAIN = "org.apache.spark.deploy.master.Master"

daemon = Daemon("spark-master")


def install() -> None:
    """The software is spark-software's; here it is only made sure that it runs."""
    check_software()


def configure() -> None:
    """Write the settings and the commands to submit with."""
    write_settings()
    say(f"master of {master_url()}; submit with {write_commands() / 'spark-submit'}")


def start() -> None:
    """Start the master and wait until it leads."""
    port, page = number("spark.master_port"), number("spark.master_ui_port")
    here = bind_address()
    daemon.start(
        jvm(MAIN, "--host", here, "--port", port, "--webui-port", page),
        ready=_missing,
        timeout=number("spark.start_timeout"),
        listens=[Endpoint(here, port, "spark.master_port"), Endpoint(here, page, "spark.master_ui_port")],
        environment=environment(),
    )


def health() -> None:
    """The master leads."""
    daemon.check(_missing)


def _missing() -> str:
    state = master_state().get("status")
    return "" if state == "ALIVE" else f"{master_url()} is not the leader yet: {state or 'its page does not answer'}"


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
