"""OAuth tokens: stored before use, the pair before kept, one refresher at a time."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calrelay.errors import Busy
from calrelay.ports import TokenPair, TokenStore
from calrelay.state.database import Database, open_database, open_in_memory
from calrelay.state.tokens import SqlTokenStore

SOON = timedelta(milliseconds=50)
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def a_pair(name: str, refresh: str | None = "refresh") -> TokenPair:
    return TokenPair(access_token=f"access-{name}", refresh_token=refresh and f"{refresh}-{name}", expires_at=NOON)


@pytest.fixture
def tokens(database: Database) -> SqlTokenStore:
    return SqlTokenStore(database, patience=SOON)


def test_the_store_is_what_the_port_asks_for(tokens: SqlTokenStore) -> None:
    store: TokenStore = tokens
    assert store.load("venue") is None


def test_a_pair_is_kept_per_account_over_a_restart(tokens: SqlTokenStore, database: Database, tmp_path: Path) -> None:
    tokens.save("venue", a_pair("1"))
    tokens.save("garden", a_pair("2", refresh=None))
    database.close()
    with open_database("sqlite:///calrelay.db", tmp_path) as again:
        assert SqlTokenStore(again).load("venue") == a_pair("1")
        assert SqlTokenStore(again).load("garden") == a_pair("2", refresh=None)


def test_the_pair_before_is_kept_until_the_new_one_has_worked(tokens: SqlTokenStore) -> None:
    tokens.save("venue", a_pair("1"))
    tokens.confirm("venue")
    tokens.save("venue", a_pair("2"))
    assert (tokens.load("venue"), tokens.previous("venue")) == (a_pair("2"), a_pair("1"))
    tokens.confirm("venue")
    assert (tokens.load("venue"), tokens.previous("venue")) == (a_pair("2"), None)


def test_of_several_new_pairs_the_last_that_worked_is_kept(tokens: SqlTokenStore) -> None:
    for name in "123":
        tokens.save("venue", a_pair(name))
    assert (tokens.load("venue"), tokens.previous("venue")) == (a_pair("3"), a_pair("1"))


def test_a_pair_that_does_not_work_gives_way_to_the_one_before(tokens: SqlTokenStore) -> None:
    tokens.save("venue", a_pair("1"))
    assert tokens.restore("venue") is None
    tokens.save("venue", a_pair("2"))
    assert tokens.restore("venue") == a_pair("1")
    assert (tokens.load("venue"), tokens.previous("venue")) == (a_pair("1"), None)


def test_tokens_can_be_forgotten(tokens: SqlTokenStore) -> None:
    tokens.save("venue", a_pair("1"))
    tokens.forget("venue")
    tokens.confirm("venue")
    assert tokens.load("venue") is None


def test_a_second_refresher_in_this_process_is_refused_at_once(tokens: SqlTokenStore) -> None:
    with tokens.refreshing("venue"):
        with pytest.raises(Busy, match="account venue"), tokens.refreshing("venue"):
            pass
        with tokens.refreshing("garden"):
            pass
    with tokens.refreshing("venue"):
        pass


def test_a_second_store_waits_a_little_and_then_names_the_holder(tokens: SqlTokenStore, database: Database) -> None:
    second = SqlTokenStore(database, patience=SOON).refreshing("venue")
    with tokens.refreshing("venue"), pytest.raises(Busy, match=f"process {os.getpid()}"), second:
        pass


def test_the_right_to_refresh_is_given_back_when_refreshing_fails(tokens: SqlTokenStore) -> None:
    with pytest.raises(RuntimeError), tokens.refreshing("venue"):
        raise RuntimeError
    with tokens.refreshing("venue"):
        pass


def test_a_refresher_that_was_killed_leaves_the_way_free(tokens: SqlTokenStore, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore

with SqlTokenStore(open_database("sqlite:///calrelay.db", Path(sys.argv[1]))).refreshing("venue"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert run.returncode == -9
    with tokens.refreshing("venue"):
        pass


def test_a_database_in_memory_needs_no_lock_between_processes() -> None:
    with open_in_memory() as database, SqlTokenStore(database).refreshing("venue"):
        pass


def test_tokens_show_in_no_repr(tokens: SqlTokenStore) -> None:
    tokens.save("venue", a_pair("secret"))
    assert "secret" not in f"{tokens.load('venue')!r} {tokens!r} {tokens.__dict__!r}"
