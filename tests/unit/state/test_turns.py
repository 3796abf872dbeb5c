from datetime import timedelta

import pytest
from sqlalchemy import text

from calrelay.errors import LeaseLost
from calrelay.state.database import Database
from calrelay.state.locks import PipelineLock
from calrelay.state.turns import SqlTurns, Turn
from tests.postgres.databases import Lender


@pytest.fixture
def database(lender: Lender) -> Database:
    return lender.lend()


@pytest.fixture
def turns(database: Database) -> SqlTurns:
    turns = SqlTurns(database)
    turns.settle({"attic": "1", "venue": "1"})
    return turns


def found(turns: SqlTurns, pipeline: str) -> Turn:
    turn, _ = turns.find(pipeline)
    assert turn is not None
    return turn


def later(turns: SqlTurns, pipeline: str, by: timedelta) -> Turn:
    turn, now = turns.find(pipeline)
    assert turn is not None
    return Turn(pipeline=pipeline, next_at=now + by, complete_at=now + by, failures=3, refused="")


def test_a_new_pipeline_is_due_at_once_and_goes_to_one_who_asks(turns: SqlTurns) -> None:
    assert sorted(turns.claim(10)) == ["attic", "venue"]
    assert turns.claim(10) == []


def test_a_pipeline_is_due_again_when_its_turn_says_so(turns: SqlTurns) -> None:
    turns.claim(10)
    turns.save(later(turns, "venue", timedelta(seconds=-1)))
    turns.save(later(turns, "attic", timedelta(hours=1)))
    assert turns.claim(10) == ["venue"]
    assert found(turns, "attic").failures == 3


def test_what_failed_and_what_could_not_run_is_due_at_once_when_somebody_has_mended_something(turns: SqlTurns) -> None:
    turns.settle({"cellar": "1"})
    turns.save(later(turns, "venue", timedelta(hours=1)))  # it failed
    turns.put_off("attic", timedelta(minutes=1))
    turns.put_off("cellar", timedelta(minutes=1))
    turns.hasten({"attic"})
    assert sorted(turns.claim(10)) == ["attic", "venue"]
    _, now = turns.find("venue")
    assert found(turns, "venue").complete_at <= now


def test_who_has_waited_longest_comes_first(turns: SqlTurns) -> None:
    turns.save(later(turns, "attic", timedelta(seconds=-1)))
    turns.save(later(turns, "venue", timedelta(seconds=-9)))
    assert turns.claim(1) == ["venue"]
    assert len(turns.lags()) == 1


def test_a_pipeline_at_work_is_not_claimed_however_old_its_claim_is(turns: SqlTurns, database: Database) -> None:
    turns.claim(10)
    with PipelineLock(database, "venue", command="worker"):
        with database.writing() as connection:
            connection.execute(text("UPDATE turn SET claimed_at = claimed_at - interval '1 hour'"))
        assert turns.claim(10) == ["attic"]


def test_a_pipeline_whose_worker_died_is_claimed_as_soon_as_its_lease_has_run_out(turns: SqlTurns, database: Database) -> None:
    turns.claim(10)
    with database.writing() as connection:
        connection.execute(text("UPDATE turn SET claimed_at = claimed_at - interval '5 seconds'"))
        dead = (
            "INSERT INTO pipeline (name, is_paused, lease_until, epoch) VALUES ('venue', false, clock_timestamp() - interval '1 second', 4)"
        )
        connection.execute(text(dead))
    assert turns.claim(10) == ["venue"]
    assert turns.claim(10) == []


def test_whoever_lost_the_lease_cannot_say_when_the_next_turn_is(turns: SqlTurns, database: Database) -> None:
    with PipelineLock(database, "venue", command="worker"):
        with database.writing() as connection:
            connection.execute(text("UPDATE pipeline SET epoch = epoch + 1"))
        with pytest.raises(LeaseLost):
            turns.save(later(turns, "venue", timedelta(hours=1)))


def test_a_pipeline_whose_config_changed_is_due_for_a_complete_pass_and_the_others_keep_their_rhythm(turns: SqlTurns) -> None:
    for name in ("attic", "venue"):
        turns.save(later(turns, name, timedelta(hours=1)))
    turns.settle({"attic": "1", "venue": "2"})
    assert turns.claim(10) == ["venue"]
    assert found(turns, "venue").failures == 0


def test_what_is_put_off_or_freed_is_claimed_accordingly(turns: SqlTurns) -> None:
    assert len(turns.claim(10)) == 2
    turns.put_off("attic", timedelta(hours=1))
    turns.release(["venue"])
    assert turns.claim(10) == ["venue"]


def test_a_pipeline_nobody_settled_has_no_turn(turns: SqlTurns) -> None:
    assert turns.find("cellar")[0] is None
