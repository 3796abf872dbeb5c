"""How the ledger forgets what happened long ago."""

from datetime import UTC, datetime, timedelta

from calrelay.domain.link import ExternalId
from calrelay.ports import Happening
from calrelay.state import history
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def test_history_is_forgotten_after_its_time_however_much_there_is() -> None:
    old, young = NOW - history.KEPT_FOR - timedelta(seconds=1), NOW - history.KEPT_FOR
    with open_in_memory() as database:
        ledger = SqlLedger(database)
        ledger.store([], [_line(number, old) for number in range(12) for _ in range(100)])
        ledger.store([], [_line(number, young) for number in range(12)])
        ledger.forget_old_history(NOW)
        left = [line.at for number in range(12) for line in ledger.history("venue", ExternalId(f"ts-{number}"))]
    assert left == [young] * 12


def _line(number: int, at: datetime) -> Happening:
    return Happening(at=at, pipeline="venue", external_id=ExternalId(f"ts-{number}"), what="updated")
