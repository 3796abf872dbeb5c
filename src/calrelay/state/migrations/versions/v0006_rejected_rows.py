"""Of which row a parked action is, so that a rejection holds for exactly that one; and that an absence was rejected."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("link", sa.Column("until_shown", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("hold_item", sa.Column("source_hash", sa.String(), nullable=True))


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError
