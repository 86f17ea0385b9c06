"""The SSH servers of these tests as fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ssh_fixtures import async_server, kept_sessions, key_path, network, server, session, sessions, shaky

__all__ = ["async_server", "kept_sessions", "key_path", "network", "server", "session", "sessions", "shaky"]
