"""Which schema a database has, and how it gets this program's. Migrations themselves live in `migrations/versions`."""

import secrets
import uuid

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, select, text

from calrelay.errors import StateError
from calrelay.state.tables import HEAD, MetaRow
from calrelay.state.tables import Table as Base

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    HEAD,
)  # all revisions, oldest first, so that a newer database is known without loading alembic; a test compares

# alembic's own table, under a name of ours: on PostgreSQL others may live in the same database.
STAMP = Table(
    "calrelay_schema",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="calrelay_schema_pkc"),
)
_ADVISORY_LOCK = 0x63616C72656C6179  # "calrelay"


def stamp_of(connection: Connection, where: str) -> str | None:
    """Return the revision of this database, None for an empty one. Raises StateError where it is not ours or newer than this program."""
    inspector = inspect(connection)
    if not inspector.has_table(STAMP.name):
        others = set(inspector.get_table_names())
        if others if connection.dialect.name == "sqlite" else others & Base.metadata.tables.keys():
            raise StateError(
                f"the state database {where} belongs to another program",
                remedy="set `url` under [state] to a database of calrelay's own; a file that does not exist yet is created",
            )
        return None
    stamp = connection.scalar(select(STAMP.c.version_num))
    if stamp is not None and stamp not in REVISIONS:
        raise StateError(
            f"the state database {where} was written by a newer calrelay (its schema is {stamp}, this program knows {HEAD})",
            remedy="install that release again, or restore the backup made before the upgrade",
        )
    return stamp


def create(connection: Connection) -> None:
    """Make all tables in an empty database. Building them from the metadata gives what the migrations give, without loading alembic."""
    Base.metadata.create_all(connection)
    STAMP.create(connection)
    connection.execute(STAMP.insert(), {"version_num": HEAD})
    keep_installation(connection)


def keep_installation(connection: Connection) -> None:
    """Give the database its installation id and its key for hashes, unless it has them."""
    meta = Base.metadata.tables[str(MetaRow.__tablename__)]
    known = set(connection.scalars(select(meta.c.key)))
    fresh = {"installation": str(uuid.uuid4()), "hash_key": secrets.token_hex(32)}
    for key in fresh.keys() - known:
        connection.execute(meta.insert(), {"key": key, "value": fresh[key]})


def bring_up_to_date(connection: Connection, where: str) -> None:
    """Create or migrate the tables, inside the transaction that is open; of several processes one does it. Idempotent."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    stamp = stamp_of(connection, where)
    if stamp is None:
        create(connection)
    elif stamp != HEAD:
        from calrelay.state.upgrade import upgrade  # noqa: PLC0415 - alembic takes a second to load, and is seldom needed

        upgrade(connection)
        keep_installation(connection)
