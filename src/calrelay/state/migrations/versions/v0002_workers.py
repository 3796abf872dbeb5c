"""What workers share: when each pipeline is due, and how fast each account may be asked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "turn",
        _words("pipeline"),
        _instant("next_at"),
        _instant("complete_at"),
        _number("failures"),
        _words("refused"),
        _words("config"),
        _instant("claimed_at", nullable=True),
        sa.PrimaryKeyConstraint("pipeline", name="pk_turn"),
    )
    op.create_index("ix_turn_next_at", "turn", ["next_at"])
    op.create_table(
        "pace",
        _words("account"),
        _instant("next_free_at"),
        _number("slots"),
        _instant("slowed_at", nullable=True),
        sa.PrimaryKeyConstraint("account", name="pk_pace"),
    )


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
