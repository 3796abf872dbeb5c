"""Backups of a ledger, fake or real: what an operator restores when the database is lost."""

import copy

from calrelay.ports import Ledger
from calrelay.state.copying import copy_state
from calrelay.state.ledger import SqlLedger
from tests.fakes import pipelines


def a_backup(ledger: Ledger) -> Ledger:
    """Return a ledger that holds what this one holds now, and does not follow it."""
    if not isinstance(ledger, SqlLedger):
        return copy.deepcopy(ledger)
    restored = pipelines.new_ledger()
    assert isinstance(restored, SqlLedger)
    copy_state(ledger._database, restored._database)
    return restored
