"""One database, SQLite or PostgreSQL, and its short transactions.

Promise: a transaction either happens whole or not at all, from any thread of any process. On SQLite writers of one
process queue for a lock of ours and take the file's write lock at their start (``BEGIN IMMEDIATE``), so nobody meets
"database is locked" half-way; readers never wait. A server that restarts is waited for, within bounds, and a commit
whose answer was lost is looked up: what was committed counts, what was not is ``Undone`` and may be done again. A file
that cannot be written can be read. Every failure is one ``StoreUnavailable``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DontWrapMixin, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from coopr_core.errors import InvalidInput
from coopr_core.folders import PASSABLE, PRIVATE, make_folder
from coopr_core.settings import without_password
from coopr_core.store.failures import LOST_SECONDS, URL_HINT, NotWritable, understood
from coopr_core.store.failures import StoreUnavailable as StoreUnavailable
from coopr_core.store.sqlite_file import lying_file

BUSY_SECONDS = 60
"""How long a writer waits for other processes' writers."""

FIRST_SECONDS = 5.0
"""How long a server that this process has never talked to is tried while its port refuses connections."""

COMMITS_BETWEEN_SWEEPS = 1000
"""How many transactions of this process leave their marks before old marks are removed."""

_LEAVE_MARK = sa.text("INSERT INTO commits (mark, at) SELECT :mark, now() WHERE txid_current_if_assigned() IS NOT NULL")
"""For a transaction that has changed anything."""

_TRY_MARK = sa.text("INSERT INTO commits (mark, at) VALUES (:mark, now()) ON CONFLICT DO NOTHING")

_SWEEP_MARKS = sa.text(
    "DELETE FROM commits WHERE mark IN (SELECT mark FROM commits WHERE at < now() - interval '1 hour' "
    "FOR UPDATE SKIP LOCKED)"
)


class NotRecordable(InvalidInput, DontWrapMixin):
    """A value that the records cannot hold."""

    code = "not-recordable"


def parse_url(url: str) -> URL:
    """The URL with the drivers we ship. Raises ``InvalidInput``, never showing the password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput(f"The database URL {without_password(url)!r} is not a URL", hint=URL_HINT) from None
    dialect = parsed.drivername.partition("+")[0]
    if dialect in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if dialect != "sqlite":
        raise InvalidInput(f"The database URL {without_password(url)!r} is of a kind we cannot use", hint=URL_HINT)
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise InvalidInput("A SQLite database must be a file: records in memory are lost", hint=URL_HINT)
    return parsed.set(drivername="sqlite+pysqlite")


class Database:
    """An engine with its two kinds of transaction."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self._writers: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if self.is_sqlite else contextlib.nullcontext()
        )
        self._only_read: NotWritable | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._commits = itertools.count()
        if self.is_sqlite:
            self._make_file()
            arguments: dict[str, Any] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        else:
            arguments = {"connect_timeout": 10, "application_name": "coopr", "prepare_threshold": None}
        self._engine = sa.create_engine(
            self.url,
            connect_args=arguments,
            pool_size=16,
            max_overflow=16,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=not self.is_sqlite,
            hide_parameters=True,
            json_serializer=_to_json,
        )
        if self.is_sqlite:
            sa.event.listen(self._engine, "connect", _prepare_sqlite_connection)
            sa.event.listen(self._engine, "begin", _begin_sqlite_transaction)

    def __repr__(self) -> str:
        return f"Database({self.shown!r})"

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._failures(), self._connected() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back on an exception.

        ``durable``: once committed it survives a power cut too. Without, SQLite may lose the last moments before one
        (never its consistency); a killed process loses nothing either way.
        """
        if self._only_read is not None:
            raise self._only_read
        options = {"coopr_begin": "BEGIN IMMEDIATE", "coopr_durable": durable}
        with self._failures(), self._writers, self._connected() as connection:
            connection = connection.execution_options(**options)
            with connection.begin() as transaction:
                yield connection
                if self.is_sqlite:
                    transaction.commit()
                else:
                    self._commit(connection, transaction)

    def only_read(self, because: NotWritable) -> None:
        """From now on read a SQLite file as it lies; whoever wants to write hears ``because``."""
        try:
            uri, self._copy = lying_file(Path(str(self.url.database)))
        except OSError:
            raise because from None
        self._engine.dispose()
        self._engine = sa.create_engine(
            "sqlite+pysqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
        )
        self._only_read = because

    def _commit(self, connection: Connection, transaction: sa.Transaction) -> None:
        """Commit on a server; when its answer is lost, look for the mark that the transaction left if it was committed.

        The transaction's number does not tell: a server that crashed gives numbers out again.
        """
        mark = {"mark": uuid4().hex}
        marked = connection.execute(_LEAVE_MARK, mark).rowcount
        if marked and next(self._commits) % COMMITS_BETWEEN_SWEEPS == 0:
            connection.execute(_SWEEP_MARKS)
        try:
            transaction.commit()
        except DBAPIError as error:
            if not error.connection_invalidated or not marked or not self._is_committed(mark):
                raise

    def _is_committed(self, mark: Mapping[str, str]) -> bool:
        """Whether a transaction whose connection was lost was committed; it never will be if it was not.

        Waits for the transaction's end: two may not leave the same mark. Raises ``StoreUnavailable`` when that cannot
        be found out.
        """
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                with self._connected() as connection:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOST_SECONDS:g}s'")
                    return not connection.execute(_TRY_MARK, mark).rowcount  # and it is not left: nothing is committed
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        f"The database {self.shown} went away, and whether the last change is recorded is not known",
                        hint="`coopr status` shows what is recorded.",
                    ) from None
                time.sleep(0.05)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection; a server that answered before, or that nobody listens for just now, is tried again."""
        began, pause, tried = time.monotonic(), 0.05, 0
        while True:
            try:
                connection = self._engine.connect()
                break
            except OperationalError:
                tried += 1
                if self.is_sqlite or time.monotonic() - began > self._patience(tried):
                    _answered.discard(self.url)
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 1.0)
        _answered.add(self.url)
        with connection:
            yield connection

    def _patience(self, tried: int) -> float:
        """How many seconds the server is tried for."""
        if self.url in _answered:
            return LOST_SECONDS
        return FIRST_SECONDS if _nobody_listens(self.url) or tried == 1 else 0.0

    def use_write_ahead_log(self) -> None:
        """Let readers and a writer of a SQLite file work side by side; a property the file keeps."""
        if not self.is_sqlite:
            return
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._failures(keep=OperationalError), self._engine.connect() as connection:
                    raw = connection.connection
                    if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                        raw.execute("PRAGMA journal_mode=WAL")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise understood(error, self.url) from None
                time.sleep(0.02)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()
        if self._copy is not None:
            self._copy.cleanup()

    def _make_file(self) -> None:
        """The database file, readable by its owner only: the records hold what users configured."""
        path = Path(str(self.url.database))
        try:
            make_folder(path.parent, PASSABLE if os.geteuid() == 0 else PRIVATE)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise StoreUnavailable(
                f"The database {path} cannot be made: {error.strerror}",
                hint="Set COOPR_STATE_DIR to a folder you may write to.",
            ) from None

    @contextlib.contextmanager
    def _failures(self, keep: type[DBAPIError] = IntegrityError) -> Iterator[None]:
        try:
            yield
        except keep:
            raise
        except (DBAPIError, PoolTimeoutError) as error:
            raise understood(error, self.url) from None
        except UnicodeEncodeError as error:
            shown = error.object.encode(errors="backslashreplace").decode()
            raise NotRecordable(f"This is no text that can be recorded: {shown}") from None


_answered: set[URL] = set()
"""The servers that this process has talked to."""


def _nobody_listens(url: URL) -> bool:
    """Whether the server's port refuses connections, as while it restarts."""
    try:
        with socket.create_connection((url.host or "localhost", url.port or 5432), timeout=1):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _to_json(value: object) -> str:
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        hint = "Config and parameters hold text, numbers, lists and maps."
        raise NotRecordable(f"This cannot be recorded: {error}", hint=hint) from None


def _plain(value: object) -> object:
    """What YAML and frozen values have and JSON has not: dates become ISO text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")


def _prepare_sqlite_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin our transactions ourselves
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite_transaction(connection: Connection) -> None:
    options = connection.get_execution_options()
    begin = options.get("coopr_begin", "BEGIN")
    if begin != "BEGIN":
        level = "FULL" if options.get("coopr_durable") else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    connection.exec_driver_sql(begin)
