"""What an event's row hashed to when nothing was owed for it: a row that comes again as it was need not be mapped."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("link", sa.Column("row_hash", sa.String(), nullable=True))


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError
