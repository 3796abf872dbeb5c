"""Leases on PostgreSQL: they outlast whatever does not end their holder, and fence off whoever wakes up late (rule 22)."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from calrelay.errors import Busy, ExitCode, LeaseLost, StateError, Stops
from calrelay.state.advisory import Sharing
from calrelay.state.database import Access, Database, open_database
from calrelay.state.fence import Fence
from calrelay.state.heartbeat import Heartbeat
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import DaemonLock, PipelineLock, workers
from tests.contracts.lock_contract import Place, told
from tests.fakes.links import NOON, a_happening, a_hold, a_link, a_pass
from tests.postgres.databases import Databases

SHORT = timedelta(seconds=1)
A_WHILE = timedelta(seconds=20)


@pytest.fixture
def place(postgres: Databases, tmp_path: Path) -> Place:
    return Place(url=postgres.make(is_empty=False), folder=tmp_path, lease=SHORT)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    with place.open() as database:
        yield database


def until(is_so: Callable[[], bool]) -> None:
    """Ask the server until it says so: it takes a moment to see that a connection is closed, and a lease is renewed."""
    deadline = time.monotonic() + A_WHILE.total_seconds()
    while not is_so():
        assert time.monotonic() < deadline


def cut(postgres: Databases, place: Place, names: str = "^calrelay .* ") -> None:
    """End connections to a database, as a restart of its server would; else those that hold nothing but a lock."""
    admin = create_engine(postgres.url("postgres").replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    name = make_url(place.url).database
    with admin.connect() as connection:
        ended = connection.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND application_name ~ '{names}'"
        ).all()
    admin.dispose()
    assert ended


def lose(database: Database, pipeline: str = "venue") -> None:
    """Let another process take the lease of a pipeline over, as if ours had run out."""
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE pipeline SET epoch = epoch + 1, owner = "
            '\'{"pid": 7, "host": "other.example.com", "command": "worker", "since": "2026-12-01T12:00:00+00:00"}\' '
            f"WHERE name = '{pipeline}'"
        )


WRITES: dict[str, Callable[[SqlLedger], object]] = {
    "store": lambda ledger: ledger.store([a_link()]),
    "store a happening": lambda ledger: ledger.store([], [a_happening(1, "created")]),
    "note_pipeline": lambda ledger: ledger.note_pipeline("venue", is_paused=True),
    "save_holds": lambda ledger: ledger.save_holds("venue", [a_hold()]),
    "save_memo": lambda ledger: ledger.save_memo("calendar:reminders:5c1f", "1000030001", NOON),
    "record_pass": lambda ledger: ledger.record_pass(a_pass()),
    "approve": lambda ledger: ledger.approve([a_hold()], NOON),
    "note_shown": lambda ledger: ledger.note_shown([a_hold()], NOON),
    "forget_pipeline": lambda ledger: ledger.forget_pipeline("venue"),
    "rename_pipeline": lambda ledger: ledger.rename_pipeline("venue", "terrace"),
}


@pytest.mark.parametrize("write", WRITES)
def test_whoever_lost_a_lease_writes_nothing_any_more(database: Database, write: str) -> None:
    ledger = SqlLedger(database).of("venue")
    with PipelineLock(database, "venue", command="sync"):
        WRITES[write](ledger)
    with PipelineLock(database, "venue", command="sync"):
        lose(database)
        with pytest.raises(LeaseLost, match=r"taken over by process 7 on other.example.com \(calrelay worker\)") as caught:
            WRITES[write](ledger)
    assert (caught.value.exit_code, caught.value.stops) == (ExitCode.BUSY, Stops.PASS)


def test_a_process_that_was_stopped_and_wakes_up_late_writes_nothing(place: Place, database: Database) -> None:
    ledger = SqlLedger(database)
    with place.held_elsewhere() as other:
        assert told(other, "1") == "stored"
        other.send_signal(signal.SIGSTOP)
        with PipelineLock(database, "venue", command="sync", patience=A_WHILE):
            other.send_signal(signal.SIGCONT)
            assert "LeaseLost: pipeline venue was taken over by process" in told(other, "2")
            ledger.store([a_link(3)])
        assert "LeaseLost: pipeline venue was taken over by another process, which has finished since" in told(other, "4")
    assert [link.source_id for link in ledger.all_links("venue")] == [a_link(1).source_id, a_link(3).source_id]


def test_a_lease_is_kept_alive_through_work_that_takes_longer_than_it(place: Place, database: Database) -> None:
    with place.open() as other, PipelineLock(database, "venue", command="sync"):
        with pytest.raises(Busy):
            PipelineLock(other, "venue", command="sync", patience=2.5 * SHORT).__enter__()
        SqlLedger(database).store([a_link()])


def test_every_taking_raises_the_epoch_and_nothing_lowers_it(database: Database) -> None:
    def epoch() -> object:
        with database.reading() as connection:
            return connection.exec_driver_sql("SELECT epoch FROM pipeline WHERE name = 'venue'").scalar()

    for expected in (1, 2, 3):
        with PipelineLock(database, "venue", command="sync"):
            assert epoch() == expected
    SqlLedger(database).forget_pipeline("venue")
    SqlLedger(database).rename_pipeline("terrace", "venue")
    assert epoch() == 3


def test_what_an_operator_decides_during_a_pass_needs_no_lease(place: Place, database: Database) -> None:
    with place.open() as other, PipelineLock(database, "venue", command="run"):
        SqlLedger(database).save_holds("venue", [a_hold()])
        assert SqlLedger(other).approve([a_hold()], NOON)
        SqlLedger(database).save_holds("venue", [a_hold()])
    assert [item.approved_at for hold in SqlLedger(database).holds("venue") for item in hold.items] == [NOON] * len(a_hold().items)


def test_a_lease_that_ran_out_while_the_database_was_away_is_taken_up_again(place: Place, database: Database, postgres: Databases) -> None:
    """Nobody else took it: the work goes on."""
    with PipelineLock(database, "venue", command="sync"):
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE pipeline SET lease_until = clock_timestamp() - interval '1 hour'")
        cut(postgres, place, "^calrelay")
        with contextlib.suppress(StateError):  # where the heartbeat has not found out before
            SqlLedger(database).pipeline("venue")
        until(lambda: PipelineLock(database, "venue", command="status").holder() is not None)
        SqlLedger(database).of("venue").store([a_link()])


def test_a_lease_given_back_while_it_was_about_to_be_renewed_is_free_at_once(place: Place, database: Database) -> None:
    seen: dict[str, int] = {}
    with PipelineLock(database, "venue", command="sync"):
        seen.update(database.fence.epochs())
    engine = create_engine(place.url.replace("postgresql:", "postgresql+psycopg:"))
    Heartbeat(engine, _SeenOnce(seen), length=SHORT).keep_going()
    for thread in threading.enumerate():
        if thread.name == "calrelay-leases":
            thread.join(A_WHILE.total_seconds())
    engine.dispose()
    assert seen == {}, "nothing was renewed"
    with PipelineLock(database, "venue", command="sync"):
        pass


class _SeenOnce(Fence):
    """Shows leases as they were a moment ago, and then none."""

    def __init__(self, seen: dict[str, int]) -> None:
        super().__init__()
        self._seen = seen

    def epochs(self) -> dict[str, int]:
        shown = dict(self._seen)
        self._seen.clear()
        return shown


def test_a_writer_stopped_in_mid_transaction_does_not_keep_a_pass_out(place: Place, database: Database) -> None:
    """Who wants the lease does not wait for the row; it is told at once."""
    SqlLedger(database).note_pipeline("venue")
    with place.open() as other, database.writing("venue"):
        begin = time.monotonic()
        with pytest.raises(Busy):
            PipelineLock(other, "venue", command="sync").__enter__()
        assert time.monotonic() - begin < 5


def test_workers_share_what_a_daemon_wants_alone(place: Place, database: Database) -> None:
    with place.open() as second, place.open() as third:
        with (
            DaemonLock(database, command="worker", sharing=Sharing.SHARED),
            DaemonLock(second, command="worker", sharing=Sharing.SHARED),
            pytest.raises(Busy, match=r"\(calrelay worker\)"),
        ):
            DaemonLock(third).__enter__()
        with DaemonLock(third), pytest.raises(Busy, match=r"\(calrelay run\)"):
            DaemonLock(second, command="worker", sharing=Sharing.SHARED).__enter__()


def test_all_workers_are_told_of_and_none_that_is_gone(place: Place, database: Database) -> None:
    with place.open() as second:
        with DaemonLock(second, command="worker", sharing=Sharing.SHARED):
            with DaemonLock(database, command="worker", sharing=Sharing.SHARED):
                assert [(one.pid, one.command) for one in workers(database)] == [(os.getpid(), "worker")] * 2
            until(lambda: len(workers(database)) == 1)
        until(lambda: not workers(database))
        with DaemonLock(second):
            assert not workers(database)


def test_a_lock_that_was_lost_with_its_connection_is_taken_again(place: Place, database: Database, postgres: Databases) -> None:
    with DaemonLock(database, command="worker", sharing=Sharing.SHARED) as lock:
        lock.keep()
        cut(postgres, place)
        until(lambda: not workers(database))
        lock.keep()
        assert len(workers(database)) == 1
    until(lambda: not workers(database))


def test_whoever_lost_a_lock_to_another_is_told_so(place: Place, database: Database, postgres: Databases) -> None:
    with place.open() as other, DaemonLock(database) as lock:
        cut(postgres, place)
        until(lambda: lock.holder() is None)
        with DaemonLock(other, command="rename"):
            for _ in range(2):
                with pytest.raises(Busy, match=r"\(calrelay rename\)"):
                    lock.keep()
        with DaemonLock(other):  # as our own session looks that the server has not ended yet
            lock.keep()
        until(lambda: lock.holder() is None)
        lock.keep()
        assert lock.holder() is not None


@pytest.mark.parametrize("host", ["w", "calrelay-worker-7d9f8b6c5d-x2x4z.prod.svc.cluster.local", f"{'long' * 20}.example.com"])
def test_a_worker_on_a_machine_with_a_long_name_is_told_of(database: Database, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    with DaemonLock(database, command="worker", sharing=Sharing.SHARED):
        (found,) = workers(database)
    assert (found.pid, found.command, host.startswith(found.host)) == (os.getpid(), "worker", True)


def test_a_holder_of_another_user_is_told_of_without_its_time(place: Place, database: Database) -> None:
    """The server shows other users' sessions by their name alone."""
    with database.writing() as connection:
        for statement in (
            "CREATE ROLE looker LOGIN",
            "GRANT USAGE ON SCHEMA public TO looker",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker",
        ):
            connection.exec_driver_sql(statement)
    try:
        looking = make_url(place.url).set(username="looker").render_as_string(hide_password=False)
        with (
            open_database(looking, place.folder, access=Access.READ) as other,
            DaemonLock(database, command="worker", sharing=Sharing.SHARED),
        ):
            (found,) = workers(other)
            assert (found.pid, found.since, str(found)) == (os.getpid(), None, f"process {os.getpid()} on {found.host} (calrelay worker)")
    finally:
        with database.writing() as connection:
            connection.exec_driver_sql("DROP OWNED BY looker")
            connection.exec_driver_sql("DROP ROLE looker")


def test_two_pipelines_that_claim_one_external_id_together_do_not_both_get_it(place: Place, database: Database) -> None:
    with place.open() as other:
        SqlLedger(database).store([a_link(1, pipeline="venue")])
        with pytest.raises(Busy, match="was claimed by pipeline venue"):
            SqlLedger(other).store([a_link(1, pipeline="terrace")])
