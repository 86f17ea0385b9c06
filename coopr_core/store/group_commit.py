"""Transactions of one process on a SQLite file: one after the other, many to a commit.

Promise: when a change returns it is committed, as durably as was asked for, or it raises why not; one that is refused
takes nothing of the others along. Who writes while others wait leaves the commit to the last of them, so that one write
to the disk serves all: the price of a durable change falls with the number of threads that want one. Nobody waits for
company that is not there already.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from typing import cast

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from coopr_core.store.failures import Undone

MOST_TOGETHER = 64
"""How many changes share a commit at most."""

LONGEST_SECONDS = 0.05
"""After how long a commit is not put off any more, for the sake of other processes."""

_LOOK_SECONDS = 1.0
"""After how long a change that waits for its commit looks whether anybody is left to make it."""


class GroupCommit:
    """The writers of one SQLite file in this process; ``connect`` opens a connection for each group of them."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._group: _Group | None = None
        self._counting = threading.Lock()
        self._waiting = 0
        self._waiting_durable = 0

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[Connection]:
        """Take part in a transaction, and return when it is committed; ``durable``: it survives a power cut then.

        Raises what the body raises, or what keeps the group from being committed; ``Undone`` when another's failure
        ended it, which says nothing of this change.
        """
        with self._turn(durable):
            group = self._joined(durable)
            try:
                with group.member():
                    yield group.connection
            finally:
                if group.is_over:
                    self._group = None
                elif not self._waiting or group.is_full:
                    self._commit(group)
        self._await(group)

    @contextlib.contextmanager
    def _turn(self, durable: bool) -> Iterator[None]:
        """Be the one who writes; how many wait to be is known to who does."""
        self._count(1, durable)
        try:
            self._lock.acquire()
        finally:
            self._count(-1, durable)
        try:
            yield
        finally:
            self._lock.release()

    def _count(self, change: int, durable: bool) -> None:
        with self._counting:
            self._waiting += change
            self._waiting_durable += change if durable else 0

    def _joined(self, durable: bool) -> _Group:
        if self._group is not None and durable and not self._group.durable:
            self._commit(self._group)
        if self._group is None:
            self._group = _Group(self._connect, durable=durable or self._waiting_durable > 0)
        return self._group

    def _commit(self, group: _Group) -> None:
        self._group = None
        group.commit()

    def _await(self, group: _Group) -> None:
        """Wait until the group is committed, and see to it if whoever was to do so was interrupted."""
        while True:
            with contextlib.suppress(TimeoutError):
                group.ended.result(_LOOK_SECONDS)
                return
            with self._lock:
                if self._group is group:
                    self._commit(group)


class _Group:
    """A transaction that several changes take part in, one after the other."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]], *, durable: bool) -> None:
        self.durable = durable
        self.ended: Future[None] = Future()
        self._members = 0
        self._began = time.monotonic()
        with ExitStack() as stack:
            connection = stack.enter_context(connect())
            self.connection = connection.execution_options(coopr_begin="BEGIN IMMEDIATE", coopr_durable=durable)
            self._transaction = self.connection.begin()
            self._stack = stack.pop_all()

    @property
    def is_over(self) -> bool:
        """Whether nobody can take part any more."""
        return self.ended.done()

    @property
    def is_full(self) -> bool:
        """Whether it is time to commit, whoever waits."""
        return self._members >= MOST_TOGETHER or time.monotonic() - self._began > LONGEST_SECONDS

    @contextlib.contextmanager
    def member(self) -> Iterator[None]:
        """Do one change, all of it or nothing."""
        alone = not self._members
        if not alone:
            self._execute("SAVEPOINT change")
        try:
            yield
            if not alone:
                self._execute("RELEASE change")
        except BaseException:
            self._take_back(alone)
            raise
        self._members += 1

    def commit(self) -> None:
        """Commit what everybody has done, or tell everybody why it cannot be."""
        try:
            self._transaction.commit()
        except DBAPIError as error:
            self.connection.invalidate()  # SQLAlchemy thinks it over, SQLite may not
            self._end(error)
        except BaseException:
            self.connection.invalidate()
            self._end(_undone())
            raise
        else:
            self._end(None)

    def _take_back(self, alone: bool) -> None:
        """Take a change back; when it is the only one, or SQLite has taken back all of them, nothing is left."""
        if not alone and self._is_open:
            with contextlib.suppress(sqlite3.Error):
                self._execute("ROLLBACK TO change")
                self._execute("RELEASE change")
                return
        self._end(_undone())

    @property
    def _is_open(self) -> bool:
        """Whether SQLite still has the transaction: it gives it up by itself when the disk is full."""
        return bool(getattr(self.connection.connection.driver_connection, "in_transaction", False))

    def _execute(self, statement: str) -> None:
        """Have the driver itself do it: SQLAlchemy takes longer over a savepoint than SQLite."""
        cast(sqlite3.Connection, self.connection.connection.driver_connection).execute(statement)

    def _end(self, error: Exception | None) -> None:
        try:
            self._stack.close()  # gives the connection back, which rolls back what is not committed
        finally:
            if error is None:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(error)


def _undone() -> Undone:
    return Undone("Another change that shared a transaction with this one could not be recorded", hint="Try again.")
