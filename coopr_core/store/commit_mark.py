"""Commits on a server whose answer may be lost: each transaction leaves a mark, which is there if it was committed.

Promise: what was committed counts, what was not is raised and may be done again. The transaction's number does not
tell: a server that crashed gives numbers out again. Costs one small insert per transaction that changes anything.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from coopr_core.store.failures import LOST_SECONDS, StoreUnavailable

COMMITS_BETWEEN_SWEEPS = 1000
"""How many transactions of this process leave their marks before old marks are removed."""

_LEAVE = sa.text("INSERT INTO commits (mark, at) SELECT :mark, now() WHERE txid_current_if_assigned() IS NOT NULL")
"""For a transaction that has changed anything."""

_TRY = sa.text("INSERT INTO commits (mark, at) VALUES (:mark, now()) ON CONFLICT DO NOTHING")

_SWEEP = sa.text(
    "DELETE FROM commits WHERE mark IN (SELECT mark FROM commits WHERE at < now() - interval '1 hour' "
    "FOR UPDATE SKIP LOCKED)"
)


class MarkedCommits:
    """Commits the transactions of one database, called ``shown`` in messages."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]], shown: str) -> None:
        self._connect = connect
        self._shown = shown
        self._commits = itertools.count()

    def commit(self, connection: Connection, transaction: sa.Transaction) -> None:
        """Commit; when the answer is lost, look for the mark that the transaction left if it was committed."""
        mark = {"mark": uuid4().hex}
        marked = connection.execute(_LEAVE, mark).rowcount
        if marked and next(self._commits) % COMMITS_BETWEEN_SWEEPS == 0:
            connection.execute(_SWEEP)
        try:
            transaction.commit()
        except DBAPIError as error:
            if not error.connection_invalidated or not marked or not self._is_committed(mark):
                raise

    def _is_committed(self, mark: Mapping[str, str]) -> bool:
        """Tell whether a transaction whose connection was lost was committed; it never will be if it was not.

        Waits for the transaction's end: two may not leave the same mark. Raises ``StoreUnavailable`` when that cannot
        be found out.
        """
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                with self._connect() as connection:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOST_SECONDS:g}s'")
                    return not connection.execute(_TRY, mark).rowcount  # and it is not left: nothing is committed
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        f"The database {self._shown} went away, and whether the last change is recorded is not known",
                        hint="`coopr status` shows what is recorded.",
                    ) from None
                time.sleep(0.05)
