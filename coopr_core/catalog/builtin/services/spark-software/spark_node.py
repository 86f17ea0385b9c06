"""What the scripts of Spark's master and workers share: where things are, the settings, how a JVM is started.

Promise: no Spark process takes part without the cluster's secret, which is in one file that only the account daemons
run as may read; nothing is written outside the service's folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from coopr_node.account import hand_over
from coopr_node.network import Member, get_json, members
from coopr_node.task import DATA, Failed, bind_address, config, number, say, write

SOFTWARE = DATA.parent / "spark-software"
SPARK_HOME = SOFTWARE / "spark" / "pyspark"
JAVA_HOME = SOFTWARE / "java"
CONF = DATA / "conf"
TMP = DATA / "tmp"


def check_software() -> None:
    """Fail when Java does not run on this node."""
    java = JAVA_HOME / "bin" / "java"
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    if version.returncode:
        raise Failed(f"{java} does not run on this node: {version.stderr.strip()}")
    say(version.stderr.splitlines()[0])


def master() -> Member:
    """The node the master is on."""
    return members("spark.master_hosts", "spark.masters")[0]


def master_url() -> str:
    """What workers and applications connect to."""
    return f"spark://{master().address}:{number('spark.master_port')}"


def master_state() -> dict[str, Any]:
    """What the master's page says of itself and its workers; empty while it does not answer."""
    return get_json(f"http://{master().address}:{number('spark.master_ui_port')}/json/") or {}


def write_settings() -> None:
    """Write ``spark-defaults.conf``, which daemons and submitted applications read."""
    settings = {
        "spark.master": master_url(),
        "spark.authenticate": "true",
        "spark.authenticate.secret": config("spark.secret"),
        "spark.driver.host": bind_address(),
        "spark.driver.bindAddress": bind_address(),
        "spark.driver.memory": config("spark.driver_memory"),
        "spark.executor.memory": config("spark.executor_memory"),
        "spark.executor.defaultJavaOptions": f"-XX:+UseSerialGC -XX:-UsePerfData -Djava.io.tmpdir={TMP}",
        "spark.driver.defaultJavaOptions": f"-XX:+UseSerialGC -XX:-UsePerfData -Djava.io.tmpdir={TMP}",
        "spark.pyspark.python": sys.executable,
        "spark.master.rest.enabled": "false",
        "spark.ui.killEnabled": "false",
        "spark.worker.cleanup.enabled": "true",
    }
    lines = [f"{key} {value}" for key, value in settings.items()]
    write(CONF / "spark-defaults.conf", "\n".join([*lines, ""]), 0o600)
    hand_over(CONF, TMP)


def environment() -> dict[str, str]:
    """The environment of every Spark process of this node."""
    return {
        "JAVA_HOME": str(JAVA_HOME),
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_CONF_DIR": str(CONF),
        "SPARK_LOCAL_IP": bind_address(),
        "SPARK_LOCAL_DIRS": str(TMP),
        "SPARK_SCALA_VERSION": "2.13",
        "PYSPARK_PYTHON": sys.executable,
    }


def jvm(main_class: str, *arguments: object) -> list[str]:
    """The command of a daemon: a small JVM that runs ``main_class``."""
    return [
        str(JAVA_HOME / "bin" / "java"),
        f"-Xmx{config('spark.daemon_memory')}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.io.tmpdir={TMP}",
        "-cp",
        f"{CONF}:{SPARK_HOME}/jars/*",
        main_class,
        *map(str, arguments),
    ]


def write_commands() -> Path:
    """Make ``bin/spark-submit`` and ``bin/spark-pi``, which need no setting; returns their folder."""
    folder = DATA / "bin"
    variables = "\n".join(f"export {name}={quote(value)}" for name, value in environment().items())
    write(
        folder / "spark-submit", f'#!/bin/sh\n{variables}\nexec {quote(f"{SPARK_HOME}/bin/spark-submit")} "$@"\n', 0o755
    )
    example = quote(f"{SPARK_HOME}/examples/src/main/python/pi.py")
    submit = quote(str(folder / "spark-submit"))
    write(
        folder / "spark-pi",
        f'#!/bin/sh\n# spark-pi [PARTITIONS]\nexec {submit} --conf spark.log.level=WARN {example} "${{1:-4}}"\n',
        0o755,
    )
    return folder
