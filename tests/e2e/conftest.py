"""The command and the real Prefect server, for driving real clusters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_line import Coopr
from prefect_server import prefect_server

__all__ = ["prefect_server"]


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str], prefect_server: object) -> Iterator[Coopr]:
    """The command in this process; clusters a test leaves behind are deleted."""
    command = Coopr(capsys)
    yield command
    left = [cluster["name"] for cluster in command("list", "--json").json]
    if left:
        command("delete", "-y", *left)
