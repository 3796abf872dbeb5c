"""Numbers of passes and of lines of history that do not run out: on a server they ended at two thousand million, SQLite's never did."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in ("history", "pass"):
        op.alter_column(table, "id", existing_type=sa.Integer(), type_=sa.BigInteger(), existing_nullable=False)
        op.execute(f"ALTER SEQUENCE {table}_id_seq AS bigint")


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError
