"""The SSH servers of these tests as fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ssh_fixtures import access, async_server, hasty, kept_access, key_path, network, server, session, shaky

__all__ = ["access", "async_server", "hasty", "kept_access", "key_path", "network", "server", "session", "shaky"]
