"""Every store test runs on a SQLite file and on a real PostgreSQL server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql_server import PostgresqlServer, postgresql  # noqa: F401  # the fixture
from sqlalchemy import create_engine, text
from store_samples import engine_url

from coopr_core.store import Store


@pytest.fixture(scope="session")
def empty_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables and nothing in them."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql_url(postgresql: PostgresqlServer) -> str:  # noqa: F811  # the fixture is its argument
    """A PostgreSQL database with our tables."""
    url = postgresql.new_database()
    Store.open(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with our tables and nothing in them, of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite_file"), tmp_path / "coopr.db")
        return f"sqlite:///{tmp_path / 'coopr.db'}"
    address: str = request.getfixturevalue("postgresql_url")
    engine = create_engine(engine_url(address))
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE clusters, quotas, machines RESTART IDENTITY CASCADE"))
    engine.dispose()
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing at all in it, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'coopr.db'}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with nothing in it."""
    with Store.open(url) as opened:
        yield opened
