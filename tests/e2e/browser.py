"""A headless browser: what a page says once its scripts have run, and a picture of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)


def _run(url: str, *options: str) -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium installed")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *_QUIET, *sandbox, f"--user-data-dir={profile}", *options, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def page_text(url: str) -> str:
    """The text of the page, tags removed."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", _run(url, "--dump-dom")))


def screenshot(url: str, path: Path, *, size: str = "1600,900") -> None:
    """A PNG of the page."""
    _run(url, f"--window-size={size}", f"--screenshot={path}")
