#!/usr/bin/env python3
"""node-tools: puts what the other builtin services' scripts share on the node."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from shlex import quote

sys.path.insert(0, os.getcwd())

from coopr_node.task import DATA, Failed, remove_data, run_action, say, write

OLDEST_PYTHON = (3, 9)

COMMAND = """\
#!/bin/sh
# coopr-wheel-install FOLDER NAME==VERSION...: makes FOLDER hold exactly these packages, fetched once per machine.
PYTHONPATH={lib} exec {python} -m coopr_node.wheel_install "$@"
"""


def install() -> None:
    """Check Python and pip, copy the modules, and make the command ``coopr-wheel-install``."""
    if sys.version_info < OLDEST_PYTHON:
        raise Failed(f"python3 on the node is {sys.version.split()[0]}; 3.9 or newer is needed")
    if find_spec("pip") is None:
        raise Failed("python3 on the node has no pip: install it (Debian: apt-get install python3-pip)")
    lib = DATA / "lib"
    new = DATA / "lib.new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree("coopr_node", new / "coopr_node", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(lib, ignore_errors=True)
    new.rename(lib)
    write(
        DATA / "bin" / "coopr-wheel-install", COMMAND.format(lib=quote(str(lib)), python=quote(sys.executable)), 0o755
    )
    say(f"python {sys.version.split()[0]} at {sys.executable}; tools in {lib}")


run_action({"install": install, "remove": remove_data})
