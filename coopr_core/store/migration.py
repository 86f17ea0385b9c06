"""Brings a database to this program's schema when it is opened.

Promise: opening an up-to-date database costs one query. Otherwise the migrations run in one transaction under a lock,
so that of many processes opening at once exactly one migrates, and a failure leaves the database as it was. A database
that a newer program has changed is refused.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from coopr_core.errors import CooprError, Retry
from coopr_core.store.database import Database
from coopr_core.store.failures import repeated
from coopr_core.store.schema import SCHEMA_VERSION

MIGRATIONS = Path(__file__).with_name("migrations")
"""Where the migrations lie; the newest one's id is ``SCHEMA_VERSION``."""

_LOCK = 0x636F6F7072
"""The key of the PostgreSQL advisory lock ("coopr")."""


class SchemaTooNew(CooprError):
    """A newer version of this program has changed the database."""

    code = "schema-too-new"
    retry = Retry.NEVER


@repeated
def migrate(database: Database) -> None:
    """Bring the database to ``SCHEMA_VERSION``, also while its server restarts. Raises ``SchemaTooNew``."""
    with database.read() as connection:
        if _is_current(connection, database):
            return
    with database.write(durable=True) as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not _is_current(connection, database):
            _upgrade(connection)


def _is_current(connection: Connection, database: Database) -> bool:
    version = _version(connection)
    if version is not None and version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"The database {database.shown} has schema {version}, newer than this program's {SCHEMA_VERSION}",
            hint="Upgrade this program: pip install --upgrade coopr-prefect.",
        )
    return version == SCHEMA_VERSION


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
