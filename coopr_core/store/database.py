"""One database, SQLite or PostgreSQL, and its short transactions.

Promise: a transaction either happens whole or not at all, from any thread of any process. On SQLite writers of one
process take turns and share commits (``group_commit``), and take the file's write lock at their start, so nobody meets
"database is locked" half-way; readers never wait. A server groups commits by itself: there each writer has a connection
of its own. A server that restarts is waited for, within bounds, and a commit whose answer was lost is looked up
(``commit_mark``): what was committed counts, what was not is ``Undone`` and may be done again. A file that cannot be
written can be read. Every failure is one ``StoreUnavailable``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DontWrapMixin, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from coopr_core.errors import InvalidInput
from coopr_core.settings import without_password
from coopr_core.store import sqlite_file
from coopr_core.store.commit_mark import MarkedCommits
from coopr_core.store.failures import LOST_SECONDS, URL_HINT, NotWritable, understood
from coopr_core.store.failures import StoreUnavailable as StoreUnavailable
from coopr_core.store.group_commit import GroupCommit
from coopr_core.store.sqlite_file import BUSY_SECONDS

FIRST_SECONDS = 5.0
"""How long a server that this process has never talked to is tried while its port refuses connections."""


class NotRecordable(InvalidInput, DontWrapMixin):
    """A value that the records cannot hold."""

    code = "not-recordable"


def parse_url(url: str) -> URL:
    """Return the URL with the drivers we ship. Raises ``InvalidInput``, never showing the password."""
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
        self._only_read: NotWritable | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        if self.is_sqlite:
            sqlite_file.make_file(Path(str(self.url.database)))
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
            sqlite_file.listen(self._engine)
        self._group = GroupCommit(self._connected)
        self._marked = MarkedCommits(self._connected, self.shown)

    def __repr__(self) -> str:
        return f"Database({self.shown!r})"

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction that only reads."""
        with self._failures(), self._connected() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """Begin a transaction that is committed at the end, or rolled back on an exception.

        ``durable``: once committed it survives a power cut too. Without, SQLite may lose the last moments before one
        (never its consistency); a killed process loses nothing either way.
        """
        if self._only_read is not None:
            raise self._only_read
        with self._failures():
            if self.is_sqlite:
                with self._group.transaction(durable=durable) as connection:
                    yield connection
                return
            with self._connected() as connection, connection.begin() as transaction:
                yield connection
                self._marked.commit(connection, transaction)

    def only_read(self, because: NotWritable) -> None:
        """From now on read a SQLite file as it lies; whoever wants to write hears ``because``."""
        try:
            uri, self._copy = sqlite_file.lying_file(Path(str(self.url.database)))
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

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Connect; a server that answered before, or that nobody listens for just now, is tried again."""
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
        if self.is_sqlite:
            with self._failures():
                sqlite_file.use_write_ahead_log(self._engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()
        if self._copy is not None:
            self._copy.cleanup()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
            raise understood(error, self.url) from None
        except UnicodeEncodeError as error:
            shown = error.object.encode(errors="backslashreplace").decode()
            raise NotRecordable(f"This is no text that can be recorded: {shown}") from None


_answered: set[URL] = set()
"""The servers that this process has talked to."""


def _nobody_listens(url: URL) -> bool:
    """Tell whether the server's port refuses connections, as while it restarts."""
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
    """Return what YAML and frozen values have and JSON has not as JSON: dates become ISO text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")
