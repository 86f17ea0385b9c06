"""The store as others see it: one object over one database, shared by any number of threads."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType

from sqlalchemy import select

from coopr_core.settings import load_settings
from coopr_core.store.attachments import Attachments
from coopr_core.store.clusters import Clusters
from coopr_core.store.controls import Controls
from coopr_core.store.creation import Creation
from coopr_core.store.database import Database
from coopr_core.store.failures import NotWritable, repeat_methods, repeated
from coopr_core.store.ledger.history import History
from coopr_core.store.ledger.leases import Leases
from coopr_core.store.ledger.quotas import Quotas
from coopr_core.store.ledger.usage import Usage
from coopr_core.store.migration import migrate
from coopr_core.store.nodes import Nodes
from coopr_core.store.schema import installation
from coopr_core.store.tasks import Tasks


class Store(Clusters, Creation, Nodes, Attachments, Controls, Tasks, Leases, Quotas, History, Usage):
    """The record of all clusters.

    ``with Store.open() as store: store.clusters()``. Every method is one transaction, done again when the server went
    away before it was committed; records are values that do not change. Thread-safe.
    """

    @classmethod
    def open(cls, url: str | None = None, *, tenant: str | None = None) -> Store:
        """Open the database and bring it to this program's schema; None: the one the settings name.

        A method that is told no tenant works on the clusters of ``tenant``, of the settings' tenant when left out. A
        SQLite file that is up to date but cannot be written (a full disk) can be read, and methods that write say why
        they cannot.

        Raises ``InvalidInput`` for a URL that cannot be used, ``StoreUnavailable`` when the database cannot be
        reached, ``SchemaTooNew`` when a newer program has changed it.
        """
        settings = load_settings()
        database = Database(url or settings.database_url)
        try:
            try:
                database.use_write_ahead_log()
                migrate(database)
            except NotWritable as error:
                database.only_read(error)
                migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(database, tenant or settings.tenant)

    @cached_property
    @repeated
    def installation(self) -> str:
        """What tells this store's clusters from another's with the same ids: 8 hexadecimal digits."""
        with self._database.read() as connection:
            return str(connection.execute(select(installation.c.id)).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


repeat_methods(Store)
