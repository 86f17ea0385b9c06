"""Where a node's machine is made is one value (``nodes.placement``), what else it may be ``nodes.alternatives``.

Until now its parts were columns, and its provider that of the cluster. ``attached`` is what providers make for clusters
beside their machines.

Revision 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PARTS = ("hardware_type", "image_type", "flavor", "image", "zone", "options")
_AT_ONCE = 1000


def upgrade() -> None:
    """Put the parts of every node together; nodes recorded before have no alternatives."""
    op.add_column("nodes", sa.Column("placement", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("nodes", sa.Column("alternatives", sa.JSON(), nullable=False, server_default="[]"))
    connection = op.get_bind()
    for cluster, provider in connection.execute(sa.select(_CLUSTERS.c.id, _CLUSTERS.c.provider)).all():
        _put_together(connection, cluster, provider)
    for part in _PARTS:
        op.drop_column("nodes", part)
    op.create_table(
        "attached",
        sa.Column("cluster", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("thing", sa.JSON(), nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name="fk_attached_clusters", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cluster", "provider", "kind", "name", name="pk_attached"),
    )


_CLUSTERS = sa.table("clusters", sa.column("id", sa.Integer()), sa.column("provider", sa.Text()))
_NODES = sa.table(
    "nodes",
    sa.column("cluster", sa.Integer()),
    sa.column("number", sa.Integer()),
    sa.column("hardware_type", sa.Text()),
    sa.column("image_type", sa.Text()),
    sa.column("flavor", sa.Text()),
    sa.column("image", sa.Text()),
    sa.column("zone", sa.Text()),
    sa.column("options", sa.JSON()),
    sa.column("placement", sa.JSON()),
)


def _put_together(connection: sa.Connection, cluster: int, provider: str) -> None:
    columns = [_NODES.c[part] for part in _PARTS]
    rows = connection.execute(sa.select(_NODES.c.number, *columns).where(_NODES.c.cluster == cluster)).mappings().all()
    change = (
        sa.update(_NODES)
        .where(_NODES.c.cluster == cluster, _NODES.c.number == sa.bindparam("of"))
        .values(placement=sa.bindparam("as", type_=sa.JSON()))
    )
    values = [{"of": row["number"], "as": {"provider": provider, **{p: row[p] for p in _PARTS}}} for row in rows]
    for start in range(0, len(values), _AT_ONCE):
        connection.execute(change, values[start : start + _AT_ONCE])
