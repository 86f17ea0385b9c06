"""The shell automator is tried on the same real SSH servers as the sessions it uses."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "remote"))

from ssh_fixtures import access, async_server, kept_access, key_path, server, session

__all__ = ["access", "async_server", "kept_access", "key_path", "server", "session"]
