"""The tables of the state database: ids, times, hashes, reasons and OAuth tokens, no people (rule 23). Columns and indexes only."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, false
from sqlmodel import Field, SQLModel

HEAD = "0007"  # the newest revision under migrations/versions; a test compares

# Without names of our own, SQLite leaves constraints nameless and a later migration could not drop them.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
_HASHES = JSON(none_as_null=True)
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself in an INTEGER only, which is as wide there


class Table(SQLModel):
    """The base of all tables: our own metadata, with our names for constraints. Plain `datetime` fields store UTC."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMES)
    model_config = {"defer_build": True}  # no row is ever validated, so that what would validate it need not be built


class LinkRow(Table, table=True):
    """One link. `starts_at` is the wanted start, else the accepted one: the order in which links are sent.

    An external id is unique per target account through the claim, not here: a link of another pipeline may still remember it.
    """

    __tablename__ = "link"
    __table_args__ = (
        Index("ix_link_state", "pipeline", "state", "starts_at"),
        # Holds all that finding the live links asks for, so that a million links of the past cost nothing.
        Index("ix_link_live", "pipeline", "accepted_end", "accepted_start", "source_id"),
        Index("ix_link_base_id", "base_id"),
    )

    pipeline: str = Field(primary_key=True)
    source_id: str = Field(primary_key=True)
    target: str
    base_id: str
    generation: int
    target_id: str | None
    state: str
    reason: str
    remedy: str
    mode: str
    backfilled: bool
    source_hash: str
    zone_data: str
    mapping: str
    config: str
    starts_at: datetime | None
    wanted_calendar: str | None
    wanted_start: datetime | None
    wanted_end: datetime | None
    wanted_hashes: dict[str, str] | None = Field(sa_type=_HASHES)
    accepted_calendar: str | None
    accepted_start: datetime | None
    accepted_end: datetime | None
    accepted_hashes: dict[str, str] | None = Field(sa_type=_HASHES)
    hold: str | None
    until_changed: bool
    attempts: int
    since: datetime | None
    row_hash: str | None = None  # emptied by whoever stores the link: only as long as nobody has touched it does it say anything
    until_shown: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    let_in: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class ClaimRow(Table, table=True):
    """Who uses an external id at a target account; it outlives its link, so that generations are never used twice."""

    __tablename__ = "claim"
    __table_args__ = (Index("ix_claim_pipeline", "pipeline"),)

    target: str = Field(primary_key=True)
    base_id: str = Field(primary_key=True)
    pipeline: str
    generation: int
    is_free: bool


class PipelineRow(Table, table=True):
    """What is remembered of a pipeline, and the lease on it.

    The lease is PostgreSQL's way to keep to one process per pipeline (rule 22); on SQLite a file lock does it and the columns stay empty.
    """

    __tablename__ = "pipeline"

    name: str = Field(primary_key=True)
    is_paused: bool = False
    first_complete_at: datetime | None
    last_complete_at: datetime | None
    last_read_at: datetime | None
    owner: str | None
    lease_until: datetime | None
    epoch: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class HistoryRow(Table, table=True):
    """One line of an event's history; `id` tells the order."""

    __tablename__ = "history"
    __table_args__ = (
        Index("ix_history_event", "pipeline", "base_id", "id"),
        Index("ix_history_what", "pipeline", "what", "at"),
    )

    id: int | None = Field(primary_key=True, sa_type=_NUMBER)
    pipeline: str
    base_id: str
    external_id: str
    at: datetime
    what: str
    detail: str


class HoldRow(Table, table=True):
    """An open hold."""

    __tablename__ = "hold"
    __table_args__ = (Index("ix_hold_pipeline", "pipeline"),)

    id: str = Field(primary_key=True)
    pipeline: str
    kind: str
    created_at: datetime
    words: str
    people: int
    earliest: datetime | None
    live: int | None
    shown_at: datetime | None


class HoldItemRow(Table, table=True):
    """One parked action of a hold, when an operator saw it, and what was said to it; `position` keeps the order it was shown in."""

    __tablename__ = "hold_item"

    hold_id: str = Field(primary_key=True, sa_column_args=[ForeignKey("hold.id", ondelete="CASCADE")])
    source_id: str = Field(primary_key=True)
    position: int
    external_id: str
    action: str
    digest: str
    approved_at: datetime | None
    start: datetime | None
    zone: str | None
    shift_seconds: int | None
    shown_at: datetime | None
    source_hash: str | None
    people: int | None


class PassRow(Table, table=True):
    """One pass, with the counters of the JSON contract."""

    __tablename__ = "pass"
    __table_args__ = (Index("ix_pass_pipeline", "pipeline", "id"),)

    id: int | None = Field(primary_key=True, sa_type=_NUMBER)
    pipeline: str
    command: str
    started_at: datetime
    seconds: float
    outcome: str
    is_complete: bool
    counts: dict[str, int] = Field(sa_type=JSON)
    requests: dict[str, int] = Field(sa_type=JSON)
    problems: list[dict[str, Any]] = Field(sa_type=JSON)


class MemoRow(Table, table=True):
    """A small fact that is dear to ask for again."""

    __tablename__ = "memo"

    key: str = Field(primary_key=True)
    value: str
    at: datetime


class OAuthTokenRow(Table, table=True):
    """The token pair of an account, and the one before it until the new one has worked."""

    __tablename__ = "oauth_token"

    account: str = Field(primary_key=True)
    access_token: str
    refresh_token: str | None
    expires_at: datetime
    previous_access_token: str | None
    previous_refresh_token: str | None
    previous_expires_at: datetime | None


class TurnRow(Table, table=True):
    """When a pipeline is due next where workers share the pipelines, and what its last passes taught; by the database's clock.

    `claimed_at` is when a worker put its job into the queue, until the pass has ended.
    """

    __tablename__ = "turn"
    __table_args__ = (Index("ix_turn_next_at", "next_at"),)

    pipeline: str = Field(primary_key=True)
    next_at: datetime
    complete_at: datetime
    failures: int
    refused: str
    config: str
    claimed_at: datetime | None


class PaceRow(Table, table=True):
    """How fast an account may be asked by all processes together on a server: the next free slot, and what one request costs in slots."""

    __tablename__ = "pace"

    account: str = Field(primary_key=True)
    next_free_at: datetime
    slots: int
    slowed_at: datetime | None


class MetaRow(Table, table=True):
    """Facts about the database itself: its installation's id and its key for hashes."""

    __tablename__ = "meta"

    key: str = Field(primary_key=True)
    value: str
