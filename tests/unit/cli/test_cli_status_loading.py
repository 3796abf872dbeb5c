"""`status` during a first load, and after one that was cut short."""

import pytest

from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import a_link, a_pass
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits


def test_a_first_load_that_has_begun_is_told_instead_of_an_empty_pipeline(house: House) -> None:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        SqlLedger(database).store([a_link(number) for number in range(3)])
    document = house.ask("status")
    assert_fits(document, "status")
    assert [one["standing"] for one in document["pipelines"]] == ["loading", "never run"]
    said = house.type("status", "venue").out
    assert "its first load is not complete: 3 events so far" in said
    assert "if no load is running now, it was cut short: calrelay plan venue says what is left" in said
    assert "never loaded" not in said


@pytest.mark.parametrize(("command", "outcome", "standing"), [("backfill", "ok", "loading"), ("run", "refused", "first load waits")])
def test_a_load_that_was_cut_short_says_how_far_it_has_come(house: House, command: str, outcome: str, standing: str) -> None:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        ledger = SqlLedger(database)
        ledger.store([a_link(number) for number in range(3)])
        ledger.record_pass(a_pass(command=command, outcome=outcome))
    assert house.ask("status")["pipelines"][0]["standing"] == standing
    assert "its first load is not complete: 3 events so far" in house.type("status", "venue").out


def test_status_says_that_there_is_no_database_yet(house: House) -> None:
    """A mistyped `url` looks like a venue that was never loaded."""
    house.load("venue")
    assert "no database" not in house.type("status").out
    for file in house.config.parent.glob("calrelay.db*"):
        file.unlink()
    assert f"there is no database {house.config.parent / 'calrelay.db'} yet; the first pass makes it" in house.type("status").out
