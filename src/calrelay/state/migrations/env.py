"""What alembic runs for a command. It works on the transaction `state/upgrade.py` hands over and never opens one itself."""

from alembic import context

from calrelay.state.schema import STAMP
from calrelay.state.tables import Table


def _include(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    """Leave tables of others alone, which on PostgreSQL may live beside ours."""
    return kind != "table" or name in Table.metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=STAMP.name,
    render_as_batch=True,  # SQLite cannot alter most things in place
    include_object=_include,
)
with context.begin_transaction():
    context.run_migrations()
