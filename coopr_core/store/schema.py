"""The tables of the store.

Promise: keys are numbers counted per owner (job per cluster, task per job: rule D17), so that the ids users see are the
keys, formatted. The indexes, and with them what the database itself forbids, are in ``indexes``. ``SCHEMA_VERSION`` is
the newest file in ``migrations/versions``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

SCHEMA_VERSION = "0005"
"""The revision this program works with."""


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: aware outside; without a zone in SQLite, which keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

clusters = Table(
    "clusters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("template_name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("providers", JSON, nullable=False, server_default="[]"),
    Column("ssh_key", Text, nullable=False, server_default=""),
    Column("catalog", JSON, nullable=False, server_default="[]"),
    Column("size", Integer, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("updated", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("lease_warned", UtcTime),
    Column("last_job", Integer, nullable=False),
    Column("request", JSON, nullable=False),
    Column("template", JSON, nullable=False),
    Column("config", JSON, nullable=False),
    Column("services", JSON, nullable=False),
    Column("links", JSON, nullable=False),
    sqlite_autoincrement=True,
)
nodes = Table(
    "nodes",
    metadata,
    Column("cluster", Integer, ForeignKey(clusters.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("host_name", Text, nullable=False),
    Column("ssh_user", Text, nullable=False),
    Column("price", Float),
    Column("services", JSON, nullable=False),
    Column("token", String(64), nullable=False),
    Column("machine", JSON(none_as_null=True)),
    Column("properties", JSON, nullable=False),
    Column("placement", JSON, nullable=False, server_default="{}"),
    Column("alternatives", JSON, nullable=False, server_default="[]"),
)

attached = Table(
    "attached",
    metadata,
    Column("cluster", Integer, ForeignKey(clusters.c.id, ondelete="CASCADE"), primary_key=True),
    Column("provider", String(255), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("thing", JSON, nullable=False),
    Column("recorded", UtcTime, nullable=False),
)
"""What providers made, or are about to make, for clusters beside their machines: key pairs, security groups."""

jobs = Table(
    "jobs",
    metadata,
    Column("cluster", Integer, ForeignKey(clusters.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("operation", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("started", UtcTime),
    Column("ended", UtcTime),
    Column("heartbeat_at", UtcTime),
    Column("claimed_by", Text, nullable=False),
    Column("flow_run", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("stages", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
)
JOB = [column for column in jobs.c if column.name != "parameters"]
"""What a record of a job is made of."""

plans = Table(
    "plans",
    metadata,
    Column("cluster", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("plan", JSON, nullable=False),
    ForeignKeyConstraint(["cluster", "job"], [jobs.c.cluster, jobs.c.number], ondelete="CASCADE"),
)
"""The plan of each job: apart, so that neither looking at jobs nor a worker's heartbeat moves it."""

tasks = Table(
    "tasks",
    metadata,
    Column("cluster", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stage", Integer, nullable=False),
    Column("node", Integer, nullable=False),
    Column("action", String(32), nullable=False),
    Column("service", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started", UtcTime),
    Column("ended", UtcTime),
    Column("exit_status", Integer),
    Column("message", Text, nullable=False),
    Column("task_run", Text, nullable=False),
    Column("log", Text, nullable=False),
    ForeignKeyConstraint(["cluster", "job"], [jobs.c.cluster, jobs.c.number], ondelete="CASCADE"),
)
attempts = Table(
    "attempts",
    metadata,
    Column("cluster", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("exit_status", Integer),
    Column("message", Text, nullable=False),
    Column("task_run", Text, nullable=False),
    Column("log", Text, nullable=False),
    ForeignKeyConstraint(
        ["cluster", "job", "task"], [tasks.c.cluster, tasks.c.job, tasks.c.number], ondelete="CASCADE"
    ),
)
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cluster", Integer, ForeignKey(clusters.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("time", UtcTime, nullable=False),
    Column("event", String(64), nullable=False),
    Column("job", Integer),
    Column("by", Text, nullable=False),
    Column("via", String(32), nullable=False),
    Column("details", JSON, nullable=False),
)
machines = Table(
    "machines",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cluster", Integer, nullable=False),
    Column("node", Integer, nullable=False),
    Column("cluster_name", String(255), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("hardware_type", Text, nullable=False),
    Column("price", Float),
    Column("created", UtcTime, nullable=False),
    Column("deleted", UtcTime),
)
installation = Table("installation", metadata, Column("id", String(16), primary_key=True))
"""One row: what tells this store's clusters from those of other stores, where both meet (a shared Prefect server)."""

commits = Table(
    "commits",
    metadata,
    Column("mark", String(32), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
)
"""What transactions on a server leave if they were committed, for whom the answer did not reach; kept for an hour."""

quotas = Table(
    "quotas",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("clusters", Integer),
    Column("nodes", Integer),
    Column("price", Float),
)
