"""Runs the migrations. The only module that imports alembic outside `migrations/`; loaded when a database is behind."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


def config_for(connection: Connection) -> Config:
    """Return alembic's configuration for the open transaction of this connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))  # it interpolates
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate to a revision inside the transaction that is open: all of it or nothing."""
    command.upgrade(config_for(connection), revision)
