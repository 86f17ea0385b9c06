"""What a transaction on a server leaves if it was committed, for whom its answer did not reach: ``commits``.

Revision 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """There are none of the time before."""
    op.create_table(
        "commits",
        sa.Column("mark", sa.String(32), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
