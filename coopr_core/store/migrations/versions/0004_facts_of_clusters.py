"""What a cluster was made with is kept with it (``clusters.providers``, ``ssh_key``, ``catalog``), plans in ``plans``.

Until now facts were among the parameters of the cluster's first job, but for the name of its provider's block, which
was ``clusters.provider_settings``; folders of the catalog came with later jobs too. The plan of a job was one of its
parameters.

Revision 0004.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Fill the new columns of every cluster from its jobs, and take out of the jobs what is elsewhere now."""
    op.add_column("clusters", sa.Column("providers", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("clusters", sa.Column("ssh_key", sa.Text(), nullable=False, server_default=""))
    op.add_column("clusters", sa.Column("catalog", sa.JSON(), nullable=False, server_default="[]"))
    connection = op.get_bind()
    columns = ("id", "provider", "provider_settings")
    for cluster, provider, block in connection.execute(sa.select(*(_CLUSTERS.c[name] for name in columns))).all():
        facts = _facts(connection, cluster, provider, block)
        connection.execute(sa.update(_CLUSTERS).where(_CLUSTERS.c.id == cluster).values(facts))
    op.drop_column("clusters", "provider_settings")
    op.create_table(
        "plans",
        sa.Column("cluster", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster", "job"], ["jobs.cluster", "jobs.number"], name="fk_plans_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("cluster", "job", name="pk_plans"),
    )
    for cluster, number in connection.execute(sa.select(_JOBS.c.cluster, _JOBS.c.number)).all():
        _part(connection, cluster, number)


_CLUSTERS = sa.table(
    "clusters",
    sa.column("id", sa.Integer()),
    sa.column("provider", sa.Text()),
    sa.column("provider_settings", sa.Text()),
    sa.column("providers", sa.JSON()),
    sa.column("ssh_key", sa.Text()),
    sa.column("catalog", sa.JSON()),
)
_JOBS = sa.table(
    "jobs",
    sa.column("cluster", sa.Integer()),
    sa.column("number", sa.Integer()),
    sa.column("parameters", sa.JSON()),
)
_PLANS = sa.table(
    "plans", sa.column("cluster", sa.Integer()), sa.column("job", sa.Integer()), sa.column("plan", sa.JSON())
)
_ELSEWHERE = ("plan", "provider", "ssh_key", "catalog")
"""What parameters of jobs hold that is somewhere else now."""


def _part(connection: sa.Connection, cluster: int, number: int) -> None:
    """Part the plan of one job from its parameters."""
    here = (_JOBS.c.cluster == cluster, _JOBS.c.number == number)
    parameters = connection.execute(sa.select(_JOBS.c.parameters).where(*here)).scalar_one()
    if "plan" in parameters:
        connection.execute(sa.insert(_PLANS).values(cluster=cluster, job=number, plan=parameters["plan"]))
    left = {name: value for name, value in parameters.items() if name not in _ELSEWHERE}
    connection.execute(sa.update(_JOBS).where(*here).values(parameters=left))


def _facts(connection: sa.Connection, cluster: int, provider: str, block: str) -> dict[str, Any]:
    """Return the columns of one cluster; its jobs are read one by one, for their parameters hold whole plans."""
    here = _JOBS.c.cluster == cluster
    numbers = connection.execute(sa.select(_JOBS.c.number).where(here).order_by(_JOBS.c.number)).scalars().all()
    entity: dict[str, Any] = {"name": provider}
    ssh_key = ""
    folders: dict[str, None] = {}
    for place, number in enumerate(numbers):
        query = sa.select(_JOBS.c.parameters).where(here, _JOBS.c.number == number)
        parameters = connection.execute(query).scalar_one()
        if place == 0:
            entity, ssh_key = parameters.get("provider") or entity, parameters.get("ssh_key") or ""
        values = parameters.get("values") or {}
        folders |= dict.fromkeys((*(parameters.get("catalog") or ()), *(values.get("catalog") or ())))
    kept = {name: entity[name] for name in ("name", "providertype", "provisioner") if name in entity}
    return {"providers": [{**kept, "credentials": block}], "ssh_key": ssh_key, "catalog": list(folders)}
