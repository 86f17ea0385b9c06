"""A store of each test's own; the work of tasks is tried on the same real SSH servers as the sessions it uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coopr_core.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent / "remote"))

from ssh_fixtures import async_server, key_path

__all__ = ["async_server", "key_path"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'coopr.db'}") as opened:
        yield opened
