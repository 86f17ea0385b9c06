"""What a node's hardware and image type say about it to the provider: ``nodes.options``.

Revision 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nodes recorded before have none: the provider was told none."""
    op.add_column("nodes", sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
