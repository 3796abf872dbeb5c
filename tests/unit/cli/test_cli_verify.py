"""`verify`, `retire` and `rename` as they are typed, end to end against the simulators, with a person's hand in Apptoto."""

import dataclasses
import io
from datetime import timedelta

import pytest

from calrelay.cli.drift_report import describe, verify_all
from calrelay.cli.output import Output, Table
from calrelay.domain.link import ExternalId, State
from calrelay.engine.drift import Drift, DriftKind
from calrelay.engine.verify import Verification
from calrelay.errors import ExitCode
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.faults import Fault, Kind
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import DaemonLock, PipelineLock, load_lock
from tests.fakes.memory_source import an_event
from tests.fakes.pipelines import a_bench
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits
from tests.unit.cli.test_cli_passes import Benches


def ours(house: House) -> list[StoredEvent]:
    """The venue's live events at the target, soonest first, those of the next days left out."""
    events = house.world.apptoto.events
    horizon = house.world.apptoto.clock.now() + timedelta(days=2)
    live = [e for e in events.live_events() if (e.external_id or "").startswith("ts-") and e.start_time > horizon]
    return sorted(live, key=lambda e: e.start_time)


def puts(house: House) -> int:
    return sum(entry.method in ("PUT", "DELETE") for entry in house.world.apptoto.journal.entries)


def rename_in_config(house: House, old: str, new: str) -> None:
    text = house.config.read_text()
    house.config.write_text(text.replace(f'name = "{old}"', f'name = "{new}"'))


# --- verify ---


def test_where_all_is_as_it_was_sent_nothing_is_told_at_another_offset(house: House) -> None:
    house.load("venue")
    found = house.ask("verify", "venue")["pipelines"][0]
    assert (found["drifts"], found["at_another_offset"]) == ([], 0)


def test_where_everything_is_lost_it_asks_for_the_account_instead_of_naming_a_repair_that_refuses(house: House) -> None:
    house.load("venue")
    for event in [one for one in house.world.apptoto.events.live_events() if (one.external_id or "").startswith("ts-")]:
        house.world.apptoto.events.delete(event)
    said = house.type("verify", "venue")
    assert said.code == ExitCode.ATTENTION
    assert "Is it the right account?" in said.out
    assert "calrelay verify venue --repair" not in said.out
    assert "right account" in house.type("verify", "venue", "--repair").out


def test_a_person_s_edits_in_apptoto_are_told_apart_and_repaired(house: House) -> None:
    house.load("venue")
    events = house.world.apptoto.events
    edited, moved, deleted, doubled, *_ = ours(house)
    started = moved.start_time
    titles = (edited.title, moved.title)
    edited.title = "Jane's dinner, VIP!"
    moved.start_time += timedelta(hours=1)
    events.delete(deleted)
    events.create(
        {
            "external_id": doubled.external_id,
            "calendar_id": doubled.calendar_id,
            "title": doubled.title,
            "start_time": doubled.start_time.isoformat(),
            "end_time": doubled.end_time.isoformat(),
            "participants": [],
        }
    )
    events.create(
        {
            "calendar_id": edited.calendar_id,
            "title": "Staff lunch",
            "start_time": edited.start_time.isoformat(),
            "end_time": edited.end_time.isoformat(),
        }
    )
    before = puts(house)

    said = house.type("verify", "venue", "--json")
    assert_fits(said.document, "verify")
    [found] = said.document["pipelines"]
    assert said.code == ExitCode.ATTENTION
    assert (found["outcome"], found["changed"], found["lost"], found["doubled"], found["unknown"]) == ("drifted", 2, 1, 1, 0)
    assert (found["not_ours"], puts(house)) == (1, before)
    assert {d["external_id"]: d["fields"] for d in found["drifts"] if d["kind"] == "changed"} == {
        edited.external_id: ["title"],
        moved.external_id: ["start"],
    }
    assert "Jane" not in said.out

    said = house.type("verify", "venue", "--repair", "--json")
    assert_fits(said.document, "verify")
    [found] = said.document["pipelines"]
    assert (said.code, found["outcome"]) == (0, "ok")
    assert (found["repair"]["updated"], found["repair"]["created"], found["repair"]["deleted"]) == (2, 1, 0)
    assert (edited.title, moved.title, moved.start_time) == (*titles, started)
    assert events.duplicates() == {}
    assert not doubled.is_deleted
    assert events.by_external_id(f"{deleted.external_id}.2") is not None

    said = house.type("verify", "venue", "--json")
    assert (said.code, said.document["pipelines"][0]["outcome"]) == (0, "ok")
    assert house.ask("sync", "venue")["passes"][0]["updated"] == 0


def test_verify_tells_in_words_what_it_means_and_that_a_repair_can_message(house: House) -> None:
    house.load("venue")
    edited, deleted, *_ = ours(house)
    edited.title = "Changed"
    house.world.apptoto.events.delete(deleted)
    said = house.type("verify", "venue")
    assert said.code == ExitCode.ATTENTION
    for words in (edited.external_id, "changed", "title", "lost", "calrelay verify venue --repair", "can message the guests"):
        assert str(words) in said.out
    said = house.type("verify", "venue", "--repair")
    assert said.code == 0
    assert "could have been messaged" in said.out


def test_verify_of_untouched_pipelines_is_quiet(house: House) -> None:
    house.load("venue", "studio")
    before = puts(house)
    said = house.type("verify")
    assert (said.code, puts(house)) == (0, before)
    assert said.out.count("all as they were accepted") == 2


async def test_verify_takes_a_lock_only_to_repair() -> None:
    relay = Benches(benches={"venue": a_bench(an_event(1))})
    done: list[Verification] = []
    await verify_all(relay, Output(as_json=True), done, is_repair=False)
    assert relay.locked == []
    await verify_all(relay, Output(as_json=True), done, is_repair=True)
    assert relay.locked == ["venue"]


async def test_a_busy_pipeline_does_not_stop_the_next() -> None:
    relay = Benches(benches={"venue": a_bench(), "studio": a_bench()}, busy=1)
    done: list[Verification] = []
    await verify_all(relay, Output(as_json=True), done, is_repair=True)
    assert [(found.is_whole, found.exit_code) for found in done] == [(False, ExitCode.BUSY), (True, 0)]
    text = "\n".join(block if isinstance(block, str) else str(block.rows) for block in describe(done, is_repair=True))
    assert "process 7" in text


def test_a_long_list_of_differences_is_cut_in_words() -> None:
    bench = a_bench()
    found = Verification(pipeline="venue", span=bench.pipeline.window.at(bench.now), is_whole=True)
    found.drifts = [Drift(kind=DriftKind.UNKNOWN, external_id=ExternalId(f"ts-{n}"), link=None) for n in range(60)]
    rows = [row for block in describe([found], is_repair=False) if isinstance(block, Table) for row in block.rows]
    assert any("and 20 more" in cell for row in rows for cell in row)


def test_where_nothing_is_remembered_verify_names_adopt_and_no_repair() -> None:
    bench = a_bench()
    found = Verification(pipeline="venue", span=bench.pipeline.window.at(bench.now), is_whole=True)
    found.drifts = [Drift(kind=DriftKind.UNKNOWN, external_id=ExternalId(f"ts-{n}"), link=None) for n in range(3)]
    words = "\n".join(block if isinstance(block, str) else str(block.rows) for block in describe([found], is_repair=False))
    assert "nothing is remembered of it, and the target holds 3 events of its ids" in words
    assert "calrelay adopt venue" in words
    assert "--repair" not in words
    found.compared = 10
    words = "\n".join(block if isinstance(block, str) else str(block.rows) for block in describe([found], is_repair=False))
    assert "--repair" in words


# --- retire ---


def test_a_retired_pipeline_keeps_its_events_and_a_successor_takes_them_over(house: House) -> None:
    house.load("venue")
    live = len(house.world.apptoto.events.live_events())
    said = house.type("retire", "venue", "--json")
    assert_fits(said.document, "retire")
    assert (said.code, said.document["retired"], said.document["deleted"], said.document["in_config"]) == (0, True, 0, True)
    refused = house.type("sync", "venue")
    assert refused.code == ExitCode.GUARD
    assert "retired" in refused.out
    status = house.ask("status", "venue")
    assert_fits(status, "status")
    assert [one["standing"] for one in status["pipelines"]] == ["retired"]
    assert "calrelay adopt venue takes its events up again" in house.type("status", "venue").out

    before = puts(house)
    rename_in_config(house, "venue", "hall")
    said = house.type("sync", "hall", "--json")
    [report] = said.document["passes"]
    assert (said.code, report["created"], report["updated"], puts(house)) == (0, 0, 0, before)
    assert len(house.world.apptoto.events.live_events()) == live


def test_a_pipeline_that_left_the_config_can_still_be_retired(house: House) -> None:
    house.load("venue")
    rename_in_config(house, "venue", "hall")
    assert house.type("retire", "venue").code == 0
    said = house.type("retire", "nowhere")
    assert said.code == ExitCode.CONFIG
    said = house.type("retire", "venue", "--delete", "--yes")
    assert (said.code, "[[pipelines]]" in said.err) == (ExitCode.CONFIG, True)


def test_at_a_terminal_no_is_the_default(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.load("venue")
    live = len(house.world.apptoto.events.live_events())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    asked = []

    def answer(text: str, **_: object) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("typer.confirm", answer)
    said = house.type("retire", "venue", "--delete")
    assert (said.code, asked, len(house.world.apptoto.events.live_events())) == (0, ["Delete them?"], live)
    assert "people on them" in said.err
    assert house.type("sync", "venue").code == 0


@pytest.mark.parametrize("stdin", [None, io.StringIO()], ids=["closed", "no terminal"])
def test_deleting_asks_nobody_where_nobody_is(house: House, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None) -> None:
    house.load("venue")
    monkeypatch.setattr("sys.stdin", stdin)
    assert house.type("retire", "venue", "--delete").code == 0
    assert ours(house) == []


@pytest.mark.parametrize("confirmed", [["--yes"], []], ids=["with --yes", "without a terminal"])
def test_deleting_empties_the_calendar_of_coming_events_and_forgets(house: House, confirmed: list[str]) -> None:
    house.load("venue", "studio")
    said = house.type("retire", "venue", "--delete", *confirmed, "--json")
    assert_fits(said.document, "retire")
    assert (said.code, said.document["retired"]) == (0, True)
    assert said.document["deleted"] > 5
    assert ours(house) == []
    assert any((e.external_id or "").startswith("tt-") for e in house.world.apptoto.events.live_events())
    assert house.type("sync", "venue").code == ExitCode.GUARD


def test_a_pipeline_at_work_is_not_retired(house: House) -> None:
    with (
        open_database("sqlite:///calrelay.db", house.config.parent) as database,
        PipelineLock(database, "venue", command="sync"),
    ):
        said = house.type("retire", "venue", "--json")
    assert (said.code, said.document["error"]["kind"]) == (ExitCode.BUSY, "Busy")


# --- rename ---


@pytest.mark.parametrize("edits_first", [False, True])
def test_a_sync_under_the_new_name_sends_nothing(house: House, edits_first: bool) -> None:
    house.load("venue")
    if edits_first:
        rename_in_config(house, "venue", "hall")
    said = house.type("rename", "venue", "hall", "--json")
    assert_fits(said.document, "rename")
    assert (said.code, said.document["config_has"]) == (0, "hall" if edits_first else "venue")
    assert said.document["live"] > 5
    rename_in_config(house, "venue", "hall")
    before = puts(house)
    [report] = house.ask("sync", "hall")["passes"]
    assert (report["outcome"], report["created"], report["updated"], report["deleted"], puts(house)) == ("ok", 0, 0, 0, before)


def test_rename_says_what_to_write_into_the_config(house: House) -> None:
    house.load("venue")
    said = house.type("rename", "venue", "hall")
    assert 'name = "hall"' in said.out


def test_a_name_that_is_taken_or_no_name_is_refused(house: House) -> None:
    house.load("venue")
    assert house.type("rename", "venue", "studio").code == ExitCode.CONFIG
    assert house.type("rename", "venue", "no name").code == ExitCode.CONFIG
    assert house.type("rename", "nowhere", "hall").code == ExitCode.CONFIG


def test_nothing_is_renamed_while_the_daemon_or_a_pass_is_at_work(house: House) -> None:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        with DaemonLock(database):
            assert house.type("rename", "venue", "hall").code == ExitCode.BUSY
        with PipelineLock(database, "venue", command="sync"):
            said = house.type("rename", "venue", "hall")
        assert (said.code, "calrelay sync" in said.err) == (ExitCode.BUSY, True)
        with load_lock(database, "venue", command="backfill"):  # between two of its chunks nobody has the pipeline itself
            refused = [house.type(*words) for words in (["rename", "venue", "hall"], ["retire", "venue"], ["retire", "venue", "--delete"])]
    assert [(one.code, "calrelay backfill" in one.err) for one in refused] == [(ExitCode.BUSY, True)] * 3


def test_what_was_not_begun_to_be_deleted_says_that_its_passes_go_on(house: House) -> None:
    house.load("venue")
    with open_database(f"sqlite:///{house.config.parent / 'calrelay.db'}", house.config.parent) as database:
        ledger = SqlLedger(database)
        ledger.store([dataclasses.replace(next(iter(ledger.all_links("venue"))), state=State.SENDING)])
    said = house.type("retire", "venue", "--delete", "--yes")
    assert said.code == ExitCode.GUARD
    assert "Nothing was deleted." in said.out
    assert "calrelay pause venue" in said.out
    assert house.type("sync", "venue").code == 0


def test_what_was_begun_to_be_deleted_says_that_no_pass_of_it_runs(house: House) -> None:
    house.load("venue")
    house.world.apptoto.faults.add(Fault(kind=Kind.STATUS, method="DELETE", status=403, times=None))
    said = house.type("retire", "venue", "--delete", "--yes")
    assert "until then no pass of it runs" in said.out
    assert "nothing was read or sent" not in said.out
    assert house.type("sync", "venue").code == ExitCode.GUARD
    told = house.type("status", "venue").out
    assert "not all of its events are deleted or let go" in told
    assert "calrelay retire venue --delete goes on" in told
    assert house.type("retire", "venue").code == 0
    assert "its events were let go" in house.type("status", "venue").out
