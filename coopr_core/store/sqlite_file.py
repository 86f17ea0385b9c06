"""What a SQLite file needs: made for its owner alone, opened with our habits, read where nothing can be written.

SQLite needs room beside a file to read it while others may write. Where there is none (a full disk, a file system or
folder that is read only) the file is read as it lies, which is right as long as nothing waits in its write-ahead log;
otherwise from a copy of both, wherever there is room.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from coopr_core.folders import PASSABLE, PRIVATE, make_folder
from coopr_core.store.failures import StoreUnavailable

BUSY_SECONDS = 60
"""How long a writer waits for other processes' writers."""

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def make_file(path: Path) -> None:
    """Make the database file, readable by its owner only: the records hold what users configured."""
    try:
        make_folder(path.parent, PASSABLE if os.geteuid() == 0 else PRIVATE)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be made: {error.strerror}",
            hint="Set COOPR_STATE_DIR to a folder you may write to.",
        ) from None


def listen(engine: sa.Engine) -> None:
    """Have every connection of the engine opened, and every transaction begun, as the store wants it."""
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin our transactions ourselves
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    begin = options.get("coopr_begin", "BEGIN")
    if begin != "BEGIN":
        level = "FULL" if options.get("coopr_durable") else "NORMAL"
        if connection.info.get("coopr_synchronous", "NORMAL") != level:
            connection.exec_driver_sql(f"PRAGMA synchronous={level}")
            connection.info["coopr_synchronous"] = level
    connection.exec_driver_sql(begin)


def use_write_ahead_log(engine: sa.Engine) -> None:
    """Let readers and a writer of the file work side by side; a property the file keeps."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with engine.connect() as connection:
                raw = connection.connection
                if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    raw.execute("PRAGMA journal_mode=WAL")
            return
        except (OperationalError, sqlite3.OperationalError) as error:
            if not _is_locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _is_locked(error: Exception) -> bool:
    """Tell whether another process has the file just now."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
    return code & 0xFF in _LOCKED


def lying_file(path: Path) -> tuple[str, tempfile.TemporaryDirectory[str] | None]:
    """Return the URI that SQLite reads the file by, and the folder of the copy, if one was needed, to be cleaned up.

    Raises ``OSError`` when there is no room for the copy anywhere either.
    """
    log = path.with_name(path.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", None
    folder = tempfile.TemporaryDirectory(prefix="coopr-")
    try:
        for each in (path, log):
            shutil.copyfile(each, Path(folder.name) / each.name)
    except OSError:
        folder.cleanup()
        raise
    return f"file:{quote(str(Path(folder.name) / path.name))}", folder
