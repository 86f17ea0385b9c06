"""The shell automator is tried on the same real SSH servers as the sessions it uses."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "remote"))

from ssh_fixtures import async_server, kept_sessions, key_path, server, session, sessions

__all__ = ["async_server", "kept_sessions", "key_path", "server", "session", "sessions"]
