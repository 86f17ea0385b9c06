"""The work of tasks is tried on the same real SSH servers as the sessions it uses."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "remote"))

from ssh_fixtures import async_server, key_path

__all__ = ["async_server", "key_path"]
