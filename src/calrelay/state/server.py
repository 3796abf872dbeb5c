"""How PostgreSQL is spoken to: the driver, its timeouts, and the address as it may be shown. Opening itself is `database`'s business."""

import time
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, ColumnElement, Engine, create_engine, event, func, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from calrelay.errors import StateError
from calrelay.state.json_columns import AS_JSON

STATEMENT = timedelta(seconds=120)  # for one statement; renaming a pipeline of a million links takes a fraction of it
# A process that was stopped inside a transaction holds rows that others wait for: the server ends it for them.
IDLE_IN_TRANSACTION = timedelta(seconds=5)
CONNECT_SECONDS = 10
# A machine that went away without a word is noticed within half a minute, not after two hours.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
RESTED = 1.0  # seconds after which a connection is asked whether its server is still there
_SHOWN = ("host", "port")  # of what may follow the question mark; `password` is among the rest


def words_for(url: URL) -> str:
    """Return the address as it may be shown: without password, and not at all where a part of one may be in it."""
    if "@" in f"{url.host}{url.database}":  # a password that was not percent-encoded
        return "postgresql://…"
    shown = {key: value for key, value in url.query.items() if key in _SHOWN}
    bare = URL.create("postgresql", username=url.username, host=url.host, port=url.port, database=url.database, query=shown)
    return unquote(bare.render_as_string(hide_password=True))


def libpq_address(url: str) -> str:
    """Return the address of a database as the driver itself reads it; it may hold a password."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def lock_key(name: str) -> ColumnElement[int]:
    """Return the key of an advisory lock; another calrelay in another schema of the same database has another one."""
    return func.hashtextextended(func.concat("calrelay ", func.current_schema(), " ", name), 0)


def engine_for(url: URL, where: str, patience: timedelta, *, is_read_only: bool) -> Engine:
    """Return an engine for this server; nothing is opened yet. Raises StateError where the driver is not installed."""
    settings = {
        "TimeZone": "UTC",
        "lock_timeout": _milliseconds(patience),
        "statement_timeout": _milliseconds(STATEMENT),
        "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION),
        "default_transaction_read_only": "on" if is_read_only else "off",
        **{f"tcp_{name}": value for name, value in _KEEPALIVES.items()},  # and by the server, whose locks it may have held
    }
    arguments = {
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "application_name": "calrelay",
        "connect_timeout": CONNECT_SECONDS,
        **_KEEPALIVES,
        "tcp_user_timeout": 30_000,
    }
    try:
        # Spelled out, because plain postgresql:// meant another driver before SQLAlchemy 2.1.
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={key: value for key, value in arguments.items() if key not in url.query},
            hide_parameters=True,
            **AS_JSON,
            pool_size=2,  # one for the work, one for the heartbeat
        )
    except ImportError:
        raise StateError(
            f"the PostgreSQL driver for {where} is not installed",
            remedy="pip install --require-hashes --requirement requirements/cluster.txt",
        ) from None
    _ping_rested_connections(engine)
    return engine


def _ping_rested_connections(engine: Engine) -> None:
    """Ask a connection that nobody has used for a while whether its server is still there, and open another where it is not.

    `pool_pre_ping` would ask each time, which is a tenth of what a pass without changes costs.
    """

    @event.listens_for(engine, "checkin")
    def _given_back(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _taken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        now = time.monotonic()
        if now - record.info.get("since", now) < RESTED:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise DisconnectionError from None


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
