"""Many pipelines as a whole: the same as asking for each of them, on both databases, in as many statements as for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from calrelay.domain.link import State
from calrelay.ports import PipelineRecord
from calrelay.state.database import Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.overviews import Overview
from tests.fakes.links import HOUR, NOON, a_hold, a_link, a_new_link, a_pass
from tests.postgres.databases import Lender
from tests.unit.state.conftest import URL


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind."""
    if request.param == "SQLite":
        with open_database(URL, tmp_path) as database:
            yield database
    else:
        lender: Lender = request.getfixturevalue("lender")
        yield lender.lend()


def test_an_overview_is_what_one_is_told_who_asks_for_each_thing(state: Database) -> None:
    ledger = _filled(SqlLedger(state))
    names = ["hall", "studio", "venue", "nobody's"]
    found = ledger.overviews(names, passes=2)
    assert list(found) == names
    for name in names:
        assert found[name] == Overview(
            record=ledger.pipeline(name),
            states=ledger.count_states(name),
            live=ledger.count_live(name),
            failing=1 if name == "hall" else 0,
            holds=tuple(ledger.holds(name)),
            passes=tuple(ledger.passes(name, 2)),
        )
    assert [(found[name].live, len(found[name].holds), len(found[name].passes)) for name in names] == [
        (2, 0, 2),
        (0, 0, 0),
        (3, 2, 1),
        (0, 0, 0),
    ]
    assert found["nobody's"].record == PipelineRecord(name="nobody's")


def test_passes_come_only_for_those_who_want_them(state: Database) -> None:
    ledger = _filled(SqlLedger(state))
    assert [one.passes for one in ledger.overviews(["hall", "venue"]).values()] == [(), ()]


def test_it_takes_the_same_statements_for_many_as_for_one(state: Database) -> None:
    ledger = _filled(SqlLedger(state))
    one = _statements(state, ledger, ["venue"])
    assert _statements(state, ledger, ["venue", *(f"venue{number}" for number in range(200))]) == one > 0


def _filled(ledger: SqlLedger) -> SqlLedger:
    states = (State.SETTLED, State.SETTLED, State.QUARANTINED, State.READY)
    for pipeline in ("venue", "hall"):
        first = 0 if pipeline == "venue" else 100
        links = [a_link(first + number, pipeline=pipeline, state=state) for number, state in enumerate(states[:2])]
        links += [a_new_link(first + number, pipeline=pipeline, state=states[number]) for number in (2, 3)]
        ledger.store(links)
    ledger.store([a_new_link(4, state=State.SENDING)])  # a create in flight counts as live
    ledger.store([a_new_link(105, pipeline="hall", attempts=3), a_new_link(106, pipeline="hall", attempts=2)])
    ledger.save_holds("venue", [a_hold("venue-deletes-1"), a_hold("venue-updates-1", created_at=NOON + HOUR)])
    ledger.note_pipeline("hall", is_paused=True, first_complete_at=NOON)
    for number in range(3):
        ledger.record_pass(a_pass(pipeline="hall", counts={"created": number}))
    ledger.record_pass(a_pass(pipeline="venue"))
    return ledger


def _statements(state: Database, ledger: SqlLedger, names: list[str]) -> int:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    with state.reading() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    ledger.overviews(names, passes=2)
    event.remove(engine, "before_cursor_execute", note)
    return len(seen)
