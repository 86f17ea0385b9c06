"""The command, and the Prefect server it runs flows on."""

from __future__ import annotations

import pytest
from command_line import Coopr
from prefect_server import prefect_server

__all__ = ["prefect_server"]


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    """The command in this process."""
    return Coopr(capsys)
