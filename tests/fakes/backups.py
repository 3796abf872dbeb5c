"""Backups of a ledger, fake or real: what an operator restores when the database is lost."""

import copy

from calrelay.ports import Ledger
from calrelay.state.ledger import SqlLedger
from tests.fakes import pipelines


def a_backup(ledger: Ledger) -> Ledger:
    """Return a ledger that holds what this one holds now, and does not follow it."""
    if not isinstance(ledger, SqlLedger):
        return copy.deepcopy(ledger)
    ledger.hash_key()
    restored = pipelines.new_ledger()
    assert isinstance(restored, SqlLedger)
    source, target = (one._database._engine.raw_connection() for one in (ledger, restored))
    source.driver_connection.backup(target.driver_connection)  # type: ignore[union-attr] # sqlite3's own
    return restored
