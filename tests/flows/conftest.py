"""The real Prefect server and the store of the test run, for the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect_server import prefect_server

from coopr_core.store import Store
from flows.server import ServerInfo

__all__ = ["prefect_server"]


@pytest.fixture
def fast_retries(prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are tried again almost at once."""
    from flows import stages

    monkeypatch.setattr(stages, "RETRY_SECONDS", 0.1)


@pytest.fixture
def store() -> Iterator[Store]:
    """The store that flows of this process use too."""
    with Store.open() as opened:
        yield opened


@pytest.fixture
def clean(prefect_server: ServerInfo, store: Store) -> Iterator[None]:
    """No cluster is left when the test has ended."""
    from flows import delete_cluster

    yield
    for cluster in store.clusters():
        delete_cluster(cluster.name)
