from __future__ import annotations

import os
import stat
import traceback
from pathlib import Path

import pytest
from postgresql_server import PASSWORD, PostgresqlServer
from sqlalchemy import create_engine, text
from store_samples import engine_url, new_cluster

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.store import Store
from coopr_core.store.database import StoreUnavailable

pytestmark = pytest.mark.both


def _shown(error: CooprError) -> str:
    return f"{error} {error.hint} {error.to_json()} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://coopr:{PASSWORD}@db.example.org:port/coopr",
        f"postgresql://coopr:p@ss{PASSWORD}@db.example.org:port/coopr",
        f"mysql://coopr:{PASSWORD}@db.example.org/coopr",
        f"coopr:{PASSWORD}@db.example.org/coopr",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "nonsense",
    ],
)
def test_a_url_that_cannot_be_used_is_invalid_and_its_password_is_not_shown(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Store.open(url)
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"
    assert "sqlite:///PATH or postgresql://" in caught.value.hint


def test_a_server_that_does_not_answer_is_one_error_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"postgresql\+psycopg://coopr:\*\*\*@127.0.0.1:1/coopr") as caught:
        Store.open(f"postgresql://coopr:{PASSWORD}@127.0.0.1:1/coopr")
    assert PASSWORD not in _shown(caught.value)
    assert "Is the server running?" in caught.value.hint
    assert caught.value.exit_code == 1


def test_a_wrong_password_and_an_unknown_database_are_told_without_the_password(postgresql: PostgresqlServer) -> None:
    wrong = PASSWORD[::-1]
    url = postgresql.new_database().replace(PASSWORD, wrong)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        Store.open(url)
    assert wrong not in _shown(caught.value)
    with pytest.raises(StoreUnavailable, match="nowhere"):
        Store.open(postgresql.url("nowhere"))


def test_both_spellings_of_a_postgresql_url_are_welcome(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    for spelling in ("postgres", "postgresql", "postgresql+psycopg"):
        with Store.open(url.replace("postgresql", spelling, 1)) as store:
            assert store.clusters() == []


def test_a_store_survives_that_its_server_drops_the_connections(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_database()
    with Store.open(url) as store:
        new_cluster(store)
        engine = create_engine(engine_url(postgresql.url("postgres")))
        with engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'")
            )
        engine.dispose()
        assert len(store.clusters()) == 1


def test_an_open_store_never_shows_its_password(postgresql: PostgresqlServer) -> None:
    with Store.open(postgresql.new_database()) as store:
        assert PASSWORD not in f"{store!r} {store._database!r} {store._database.shown}"


def test_a_sqlite_file_is_made_with_its_folder_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "coopr" / "coopr.db"
    with Store.open(f"sqlite:///{path}") as store:
        new_cluster(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["coopr.db", "coopr.db-wal", "coopr.db-shm"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == (0o711 if os.getuid() == 0 else 0o700)


def test_a_sqlite_file_uses_a_write_ahead_log_and_checks_its_references(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'c.db'}") as store, store._database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000


def test_a_place_that_cannot_hold_a_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable, match="cannot be made") as caught:
        Store.open(f"sqlite:///{tmp_path / 'file' / 'coopr.db'}")
    assert "COOPR_STATE_DIR" in caught.value.hint
    (tmp_path / "other.db").write_text("this is no database at all, but long enough to look at" * 50)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store.open(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(StoreUnavailable):
        Store.open(f"sqlite:///{tmp_path}")


def test_the_settings_say_which_database_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COOPR_DATABASE_URL", raising=False)
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path / "state"))
    Store.open().close()
    assert (tmp_path / "state" / "coopr.db").exists()
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'own.db'}")
    Store.open().close()
    assert (tmp_path / "own.db").exists()
