from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from calrelay.state.database import Database
from calrelay.state.paces import SqlPaces
from tests.postgres.databases import Lender

MINUTE, NONE = timedelta(minutes=1), timedelta(0)  # nobody waits for it, and a slow machine is no matter


@pytest.fixture
def database(lender: Lender) -> Database:
    return lender.lend()


@pytest.fixture
def paces(database: Database) -> Iterator[SqlPaces]:
    paces = SqlPaces(database)
    yield paces
    paces.close()


def waits(paces: SqlPaces, count: int, allowance: timedelta = NONE) -> list[float]:
    return [paces.book("venue", MINUTE, allowance).wait / MINUTE for _ in range(count)]


def test_slots_follow_each_other_without_a_gap(paces: SqlPaces) -> None:
    assert waits(paces, 4) == pytest.approx([0, 1, 2, 3], abs=0.5)


def test_two_processes_share_one_row_of_slots(paces: SqlPaces, database: Database) -> None:
    waits(paces, 5)
    other = SqlPaces(database)
    assert other.book("venue", MINUTE, NONE).wait / MINUTE == pytest.approx(5, abs=0.5)
    assert other.book("studio", MINUTE, NONE).wait.total_seconds() <= 0
    other.close()


def test_a_slot_longer_by_an_allowance_puts_the_next_one_off(paces: SqlPaces) -> None:
    assert waits(paces, 3, 4 * MINUTE) == pytest.approx([0, 5, 10], abs=0.5)


def test_a_slot_that_nobody_took_is_gone(paces: SqlPaces, database: Database) -> None:
    waits(paces, 1)
    with database.writing() as connection:
        connection.execute(text("UPDATE pace SET next_free_at = next_free_at - interval '1 hour'"))
    assert waits(paces, 2) == pytest.approx([0, 1], abs=0.5)


def test_a_burst_of_refusals_slows_everybody_down_once_and_successes_bring_the_rate_back(paces: SqlPaces) -> None:
    waits(paces, 1)
    paces.slow_down("venue")
    paces.slow_down("venue")
    assert paces.book("venue", MINUTE, NONE).slots == 2
    paces.speed_up("venue")
    paces.speed_up("venue")
    assert paces.book("venue", MINUTE, NONE).slots == 1


def test_it_never_grows_slower_than_an_eighth(paces: SqlPaces, database: Database) -> None:
    waits(paces, 1)
    for _ in range(5):
        paces.slow_down("venue")
        with database.writing() as connection:
            connection.execute(text("UPDATE pace SET slowed_at = slowed_at - interval '1 hour'"))
    assert paces.book("venue", MINUTE, NONE).slots == 8


def test_a_connection_that_broke_is_opened_again(paces: SqlPaces, database: Database) -> None:
    waits(paces, 1)
    with database.writing() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'calrelay pace'"))
    with pytest.raises(Exception, match="state database"):
        waits(paces, 1)
    assert len(waits(paces, 1)) == 1
