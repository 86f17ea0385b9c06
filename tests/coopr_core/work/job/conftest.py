"""A job of each test's own, whose tasks threads run."""

from __future__ import annotations

from pathlib import Path

import pytest
from thread_job import ThreadJob

from coopr_core.store import Store


@pytest.fixture
def job(store: Store, tmp_path: Path) -> ThreadJob:
    return ThreadJob(store, tmp_path)
