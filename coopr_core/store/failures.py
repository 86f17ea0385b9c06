"""What a failure of the database means: nothing reaches it, its disk is full, or the connection broke under us.

Promise: every failure becomes one ``StoreUnavailable`` that names the database without its password and says what to
do; which kind it is is read from the driver's codes, never from its words.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from coopr_core.errors import CooprError

P = ParamSpec("P")
R = TypeVar("R")

LOST_SECONDS = 30.0
"""How long a database that answered before is tried again: a server that restarts is back in a second or two."""

URL_HINT = "Set COOPR_DATABASE_URL to sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME."

_NOT_WRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_FULL_ON_SERVER = "53100"
_AGAIN = frozenset({"40001", "40P01"})
"""PostgreSQL's codes for a transaction that was given up in favour of another: serialization, deadlock."""


class StoreUnavailable(CooprError):
    """The database cannot be reached or used."""

    code = "store-unavailable"


class NotWritable(StoreUnavailable):
    """The database is there, but nothing can be written beside or into it: what it holds can still be read."""


class StoreFull(NotWritable):
    """The disk that the database is on is full."""

    code = "disk-full"


class Undone(StoreUnavailable):
    """The connection broke, or the server gave the transaction up, before it was committed: nothing of it was done."""


def understood(error: DBAPIError | PoolTimeoutError | sqlite3.Error, url: URL) -> StoreUnavailable:
    """Return the failure as users are told it."""
    original = getattr(error, "orig", error)
    reason = str(original).strip().partition("\n")[0]
    if url.password:
        reason = reason.replace(str(url.password), "***")
    if url.drivername.startswith("sqlite"):
        return _of_file(Path(str(url.database)), original, reason)
    shown = url.render_as_string(hide_password=True)
    state = getattr(original, "sqlstate", None)
    if state == _FULL_ON_SERVER:
        return StoreFull(f"The disk of the database {shown} is full: {reason}", hint="Make room on its server.")
    message = f"The database {shown} cannot be used: {reason}"
    if getattr(error, "connection_invalidated", False) or state in _AGAIN:
        return Undone(message, hint="Is the server running? " + URL_HINT)
    return StoreUnavailable(message, hint="Is the server running? " + URL_HINT)


def _of_file(path: Path, original: object, reason: str) -> StoreUnavailable:
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
        return StoreFull(
            f"The disk is full: the database {path} cannot be written",
            hint=f"Make room in {path.parent}, then try again; what is recorded can still be looked at.",
        )
    kind = NotWritable if code in _NOT_WRITABLE else StoreUnavailable
    return kind(f"The database {path} cannot be used: {reason}", hint="Is the path right, and may you write there?")


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 65536 or (found.f_files > 0 and found.f_favail == 0)


def repeated(method: Callable[P, R]) -> Callable[P, R]:
    """Call the method again while its transaction was undone through no fault of its own, for ``LOST_SECONDS``."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        deadline, pause = monotonic() + LOST_SECONDS, 0.05
        while True:
            try:
                return method(*args, **kwargs)
            except Undone:
                if monotonic() > deadline:
                    raise
                sleep(pause)
                pause = min(2 * pause, 1.0)

    return call


def repeat_methods(cls: type[Any]) -> None:
    """Let every public method of the class be called again when its transaction was undone: each is one transaction."""
    for name in dir(cls):
        method = getattr(cls, name)
        if not name.startswith("_") and callable(method) and not isinstance(method, type) and _is_plain(cls, name):
            setattr(cls, name, repeated(method))


def _is_plain(cls: type[Any], name: str) -> bool:
    """Tell whether it is a method of instances, no class method or property."""
    return any(callable(vars(base).get(name)) for base in cls.__mro__ if name in vars(base))
