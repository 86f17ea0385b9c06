"""The package ``coopr-acme``, installed for a test as its users would install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "acme_package"


def install_acme(target: Path) -> None:
    """Install the package into a folder with pip, without a network."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", str(PACKAGE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
