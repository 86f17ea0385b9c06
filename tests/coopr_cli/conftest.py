"""The command, and the Prefect server it runs flows on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_line import Coopr
from prefect_server import prefect_server

from coopr_core.store import Store

__all__ = ["prefect_server"]


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    """The command in this process."""
    return Coopr(capsys)


@pytest.fixture
def store() -> Iterator[Store]:
    """The store that commands of this process use too."""
    with Store.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def own_records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A database of this module's own: its clusters, most without machines, need not be deleted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path_factory.mktemp('records') / 'coopr.db'}")
        yield
