"""That the config has let an event in, and nobody has decided over it; and how many people a parked action touches."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("link", sa.Column("let_in", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("hold_item", sa.Column("people", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError
