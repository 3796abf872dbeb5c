"""The first tables: links, claims, pipelines with their lease, history, holds, passes, memos, tokens, meta."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    _make_links()
    _make_pipelines()
    _make_history()
    _make_holds()
    _make_passes()
    _make_the_rest()


def downgrade() -> None:
    """Not offered: an older program refuses a newer database, and a backup goes back further."""
    raise NotImplementedError


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _optional_words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=True) for name in names]


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _make_links() -> None:
    op.create_table(
        "link",
        *_words("pipeline", "source_id", "target", "base_id"),
        sa.Column("generation", sa.Integer(), nullable=False),
        *_optional_words("target_id"),
        *_words("state", "reason", "remedy", "mode"),
        sa.Column("backfilled", sa.Boolean(), nullable=False),
        *_words("source_hash", "zone_data", "mapping", "config"),
        _instant("starts_at", nullable=True),
        *_optional_words("wanted_calendar"),
        _instant("wanted_start", nullable=True),
        _instant("wanted_end", nullable=True),
        sa.Column("wanted_hashes", sa.JSON(), nullable=True),
        *_optional_words("accepted_calendar"),
        _instant("accepted_start", nullable=True),
        _instant("accepted_end", nullable=True),
        sa.Column("accepted_hashes", sa.JSON(), nullable=True),
        *_optional_words("hold"),
        sa.Column("until_changed", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("since", nullable=True),
        sa.PrimaryKeyConstraint("pipeline", "source_id", name="pk_link"),
    )
    op.create_index("ix_link_state", "link", ["pipeline", "state", "starts_at"])
    op.create_index("ix_link_live", "link", ["pipeline", "accepted_end", "accepted_start", "source_id"])
    op.create_index("ix_link_base_id", "link", ["base_id"])
    op.create_table(
        "claim",
        *_words("target", "base_id", "pipeline"),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("is_free", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("target", "base_id", name="pk_claim"),
    )
    op.create_index("ix_claim_pipeline", "claim", ["pipeline"])


def _make_pipelines() -> None:
    op.create_table(
        "pipeline",
        *_words("name"),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        _instant("first_complete_at", nullable=True),
        _instant("last_complete_at", nullable=True),
        _instant("last_read_at", nullable=True),
        *_optional_words("owner"),
        _instant("lease_until", nullable=True),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pipeline"),
    )


def _make_history() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("pipeline", "base_id", "external_id"),
        _instant("at"),
        *_words("what", "detail"),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
    )
    op.create_index("ix_history_event", "history", ["pipeline", "base_id", "id"])
    op.create_index("ix_history_what", "history", ["pipeline", "what", "at"])


def _make_holds() -> None:
    op.create_table(
        "hold",
        *_words("id", "pipeline", "kind"),
        _instant("created_at"),
        *_words("words"),
        sa.Column("people", sa.Integer(), nullable=False),
        _instant("earliest", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hold"),
    )
    op.create_index("ix_hold_pipeline", "hold", ["pipeline"])
    op.create_table(
        "hold_item",
        *_words("hold_id", "source_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        *_words("external_id", "action", "digest"),
        _instant("approved_at", nullable=True),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name="fk_hold_item_hold_id_hold", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hold_id", "source_id", name="pk_hold_item"),
    )


def _make_passes() -> None:
    op.create_table(
        "pass",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("pipeline", "command"),
        _instant("started_at"),
        sa.Column("seconds", sa.Float(), nullable=False),
        *_words("outcome"),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("requests", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pass"),
    )
    op.create_index("ix_pass_pipeline", "pass", ["pipeline", "id"])


def _make_the_rest() -> None:
    op.create_table("memo", *_words("key", "value"), _instant("at"), sa.PrimaryKeyConstraint("key", name="pk_memo"))
    op.create_table("meta", *_words("key", "value"), sa.PrimaryKeyConstraint("key", name="pk_meta"))
    op.create_table(
        "oauth_token",
        *_words("account", "access_token"),
        *_optional_words("refresh_token"),
        _instant("expires_at"),
        *_optional_words("previous_access_token", "previous_refresh_token"),
        _instant("previous_expires_at", nullable=True),
        sa.PrimaryKeyConstraint("account", name="pk_oauth_token"),
    )
