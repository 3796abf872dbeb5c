"""What a hold tells of its events, and which of them an operator has seen: an approval covers those and no others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("hold", sa.Column("live", sa.Integer(), nullable=True))
    op.add_column("hold", sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hold_item", sa.Column("start", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hold_item", sa.Column("zone", sa.String(), nullable=True))
    op.add_column("hold_item", sa.Column("shift_seconds", sa.Integer(), nullable=True))
    op.add_column("hold_item", sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError
