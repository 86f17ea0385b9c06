"""The command ``coopr-wheel-install FOLDER NAME==VERSION...``, for scripts that are not written in Python."""

from __future__ import annotations

import sys
from pathlib import Path

from coopr_node.packages import install
from coopr_node.task import Failed

if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: coopr-wheel-install FOLDER NAME==VERSION...")
    try:
        install(sys.argv[2:], Path(sys.argv[1]))
    except Failed as failure:
        sys.exit(f"coopr-wheel-install: {failure}")
