"""The first tables: clusters, nodes, jobs, tasks, attempts, events, machines, quotas, installation.

Revision 0001.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "clusters",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("template_name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_settings", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("lease_warned", TIME, nullable=True),
        sa.Column("last_job", sa.Integer(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("template", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("services", sa.JSON(), nullable=False),
        sa.Column("links", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clusters"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_clusters_living_name",
        "clusters",
        ["tenant", "name"],
        unique=True,
        sqlite_where=sa.text("state <> 'TERMINATED'"),
        postgresql_where=sa.text("state <> 'TERMINATED'"),
    )
    op.create_table(
        "jobs",
        sa.Column("cluster", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("heartbeat_at", TIME, nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=False),
        sa.Column("flow_run", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("stages", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name="fk_jobs_clusters", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cluster", "number", name="pk_jobs"),
    )
    op.create_index(
        "uq_jobs_holding_cluster",
        "jobs",
        ["cluster"],
        unique=True,
        sqlite_where=sa.text("state IN ('RUNNING', 'PAUSED', 'ABORTING')"),
        postgresql_where=sa.text("state IN ('RUNNING', 'PAUSED', 'ABORTING')"),
    )
    op.create_table(
        "nodes",
        sa.Column("cluster", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("host_name", sa.Text(), nullable=False),
        sa.Column("hardware_type", sa.Text(), nullable=False),
        sa.Column("image_type", sa.Text(), nullable=False),
        sa.Column("flavor", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("ssh_user", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("price", sa.Float(), nullable=True),
        sa.Column("services", sa.JSON(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.JSON(), nullable=True),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name="fk_nodes_clusters", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cluster", "number", name="pk_nodes"),
    )
    op.create_table(
        "tasks",
        sa.Column("cluster", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("node", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("task_run", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster", "job"], ["jobs.cluster", "jobs.number"], name="fk_tasks_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("cluster", "job", "number", name="pk_tasks"),
    )
    op.create_index("ix_tasks_progress", "tasks", ["cluster", "job", "state", "stage"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("cluster", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("task_run", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster", "job", "task"],
            ["tasks.cluster", "tasks.job", "tasks.number"],
            name="fk_attempts_tasks",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("cluster", "job", "task", "number", name="pk_attempts"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.Integer(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("job", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("via", sa.String(length=32), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name="fk_events_clusters", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_cluster", "events", ["cluster"], unique=False)
    op.create_table(
        "machines",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.Integer(), nullable=False),
        sa.Column("node", sa.Integer(), nullable=False),
        sa.Column("cluster_name", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("hardware_type", sa.Text(), nullable=False),
        sa.Column("price", sa.Float(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("deleted", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_machines"),
    )
    op.create_index("ix_machines_node", "machines", ["cluster", "node"], unique=False)
    op.create_table(
        "quotas",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("clusters", sa.Integer(), nullable=True),
        sa.Column("nodes", sa.Integer(), nullable=True),
        sa.Column("price", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", name="pk_quotas"),
    )
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.bulk_insert(installation, [{"id": secrets.token_hex(4)}])
