"""What an operator is told: once when it begins, once when it ends, and never anything that disturbs a pass."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from calrelay.domain.link import State
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome, PassReport, Problem
from calrelay.errors import AuthFailed, ConfigError, GuardRefused, StateError, VendorUnavailable
from calrelay.ports import Holding, Put
from calrelay.service.daemon import Daemon
from calrelay.service.freshness import freshness
from calrelay.service.notices import Change, Notice
from calrelay.service.notify import LONGEST_PAUSE, LOOK_EVERY, Watch
from calrelay.service.refusals import Refusal
from calrelay.service.rhythm import Health, health_of
from calrelay.service.troubles import DOWN_LONG
from calrelay.state.database import Database, open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import a_link
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import Bench, a_bench
from tests.unit.service.passes_made import a_report, an_outage

HOUR = timedelta(hours=1)


class Desk:
    """A watch over a pipeline in memory, and the notices that it sent."""

    def __init__(self, database: Database) -> None:
        self.bench: Bench = a_bench(*(an_event(number) for number in range(12)))
        self.bench.ledger = SqlLedger(database)
        self.command: tuple[str, ...] = ("tell-me",)
        self.told: list[Notice] = []
        self.fails = False
        self.refusals: dict[str, Refusal] = {}
        self.deserted: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """Start the daemon anew: what it knew of passes is gone."""
        self.started_at = self.bench.now
        self.listeners: list[Any] = []
        self.watch = Watch(cast("Daemon", self), tell=self._tell)

    @property
    def relay(self) -> Any:
        return SimpleNamespace(config=SimpleNamespace(notify=SimpleNamespace(command=self.command)), ledger=self.bench.ledger)

    @property
    def runners(self) -> Any:
        return {"venue": SimpleNamespace(pipeline=self.bench.pipeline)}

    def clock(self) -> datetime:
        return self.bench.now

    def freshness(self) -> Any:
        record = self.bench.ledger.pipeline("venue")
        return {"venue": freshness(record, HOUR, started_at=self.started_at, now=self.bench.now)}

    async def _tell(self, command: Sequence[str], notice: Notice) -> str | None:
        assert command == self.command
        self.told.append(notice)
        return "ended with 1" if self.fails else None

    async def hear(self, report: PassReport, reach: Reach = Reach.COMPLETE) -> list[tuple[str, str]]:
        """Let a pass have ended, and look."""
        report.started_at = self.bench.now
        for listener in self.listeners:
            listener(self.bench.pipeline, reach, report, health_of(report))
        return await self.look()

    async def look(self, after: timedelta = timedelta()) -> list[tuple[str, str]]:
        """Look, and return what was told: the change and the kind."""
        self.bench.now += after
        self.told.clear()
        await self.watch.look()
        return [(notice.change.value, notice.kind) for notice in self.told]

    async def sync(self) -> list[tuple[str, str]]:
        """Run a real pass, and look."""
        return await self.hear(await self.bench.sync())


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_in_memory() as database:
        yield Desk(database)


def refused() -> PassReport:
    return a_report(Outcome.FAILED, AuthFailed("Tripleseat (account venue) refused the credentials", remedy="calrelay login venue"))


def a_first_load() -> PassReport:
    return a_report(Outcome.REFUSED, GuardRefused("the first load would create 90 events", remedy="calrelay backfill venue"))


async def test_a_pipeline_that_is_well_tells_nothing(desk: Desk) -> None:
    assert await desk.sync() == []
    assert await desk.look(HOUR) == []


async def test_a_hold_is_told_once_and_its_end_once(desk: Desk) -> None:
    await desk.sync()
    desk.bench.source.remove(*range(9))
    assert await desk.sync() == [("begins", "held")]
    assert "9" in desk.told[0].line
    assert "calrelay approve" in desk.told[0].remedy
    assert await desk.sync() == []
    decisions.approve(desk.bench.ledger, "venue", clock=desk.clock)
    assert await desk.sync() == [("ends", "held")]
    assert await desk.sync() == []


async def test_quarantine_is_told_when_it_begins_when_it_grows_and_when_it_is_empty(desk: Desk) -> None:
    desk.bench.source.spoil(1)
    assert await desk.sync() == [("begins", "quarantined")]
    assert await desk.sync() == []
    desk.bench.source.spoil(2)
    assert await desk.sync() == [("grows", "quarantined")]
    assert desk.told[0].count == 2
    desk.bench.source.put(an_event(1), an_event(2))
    assert await desk.sync() == [("ends", "quarantined")]


async def test_less_quarantine_is_no_news_but_lets_it_grow_again(desk: Desk) -> None:
    desk.bench.source.spoil(1)
    desk.bench.source.spoil(2)
    await desk.sync()
    desk.bench.source.put(an_event(1))
    assert await desk.sync() == []
    desk.bench.source.spoil(3)
    assert await desk.sync() == [("grows", "quarantined")]


async def test_events_over_which_the_target_fails_are_told_once_they_are_known_to_be_the_trouble(desk: Desk) -> None:
    upsert, bad = desk.bench.target.upsert, {"ms-3"}

    async def failing(puts: Sequence[Put]) -> Sequence[Holding]:
        if bad & {put.external_id for put in puts}:
            raise VendorUnavailable("500", account="reminders", status=500)
        return await upsert(puts)

    desk.bench.target.upsert = failing  # type: ignore[method-assign]
    told = [await desk.sync() for _ in range(4)]
    assert told == [[], [], [("begins", "stuck")], []]
    assert await desk.hear(a_report(), Reach.QUICK) == []  # which says nothing of what it did not look at
    assert await desk.hear(an_outage()) == []
    bad.clear()
    assert await desk.sync() == [("ends", "stuck")]


async def test_all_events_over_which_the_target_fails_are_counted_and_none_of_an_outage(desk: Desk) -> None:
    links = [a_link(number, state=State.READY, attempts=3 if number < 8 else 2) for number in range(10)]
    desk.bench.ledger.store(links)
    assert await desk.hear(an_outage()) == []
    assert await desk.hear(a_report(), Reach.QUICK) == []  # which has not tried them all
    assert await desk.hear(a_report()) == [("begins", "stuck")]
    assert desk.told[-1].count == 8
    assert [one for one in await desk.hear(an_outage()) if "stuck" in one] == []


async def test_what_fails_and_what_cannot_be_cleared_up_are_counted_together_and_no_event_twice(desk: Desk) -> None:
    report = a_report()
    report.problems += [Problem(kind="Unclear", message="?", external_id=one, is_unresolved=True) for one in ("ts-1", "ts-2.2", "ts-9")]
    desk.bench.ledger.store([a_link(number, state=State.READY, attempts=3) for number in (2, 3, 4)])
    await desk.hear(report)
    assert await desk.hear(report) == [("begins", "stuck")]
    assert desk.told[-1].count == 5


async def test_what_cannot_be_cleared_up_is_told_from_its_second_pass_on_also_after_a_start(desk: Desk) -> None:
    report = a_report()
    report.problems.append(Problem(kind="VendorUnavailable", message="the target does not tell", external_id="ts-3", is_unresolved=True))
    assert [await desk.hear(one) for one in (a_report(), report, a_report(), report, report)] == [[], [], [], [], [("begins", "stuck")]]
    desk.bench.ledger.store([a_link(3, state=State.SENDING, attempts=3)])  # which counts once
    desk.start()
    assert [await desk.hear(one) for one in (report, report)] == [[], []]
    desk.bench.ledger.store([a_link(3)])
    assert await desk.hear(a_report()) == [("ends", "stuck")]


async def test_refused_credentials_are_told_at_once_and_not_as_an_outage_too(desk: Desk) -> None:
    assert await desk.hear(refused()) == [("begins", "credentials refused")]
    assert desk.told[0].remedy == "calrelay login venue"
    assert await desk.look(DOWN_LONG) == []
    assert await desk.hear(a_report()) == [("ends", "credentials refused")]


async def test_a_vendor_that_does_not_answer_proves_nothing_about_credentials(desk: Desk) -> None:
    await desk.hear(refused())
    assert await desk.hear(an_outage()) == []


async def test_a_short_outage_is_nobodys_business_and_a_long_one_is(desk: Desk) -> None:
    assert await desk.hear(an_outage()) == []
    assert await desk.look(DOWN_LONG - LOOK_EVERY) == []
    await desk.hear(an_outage())
    assert await desk.look(LOOK_EVERY) == [("begins", "down")]
    assert await desk.hear(a_report()) == [("ends", "down")]


async def test_an_outage_that_ended_in_between_is_counted_anew(desk: Desk) -> None:
    await desk.hear(an_outage())
    desk.bench.now += DOWN_LONG / 2
    await desk.hear(a_report())
    await desk.hear(an_outage())
    assert await desk.look(DOWN_LONG / 2) == []


async def test_a_first_load_that_waits_is_told_until_it_is_decided(desk: Desk) -> None:
    assert await desk.hear(a_first_load()) == [("begins", "waits for a decision")]
    assert "90 events" in desk.told[0].line
    assert await desk.hear(a_report()) == [("ends", "waits for a decision")]


async def test_stale_is_three_intervals_without_a_complete_read(desk: Desk) -> None:
    await desk.sync()
    assert await desk.look(3 * HOUR) == []
    assert await desk.look(timedelta(seconds=1)) == [("begins", "stale")]
    assert await desk.sync() == [("ends", "stale")]


async def test_after_a_rest_a_pipeline_has_the_time_of_its_first_complete_pass(desk: Desk) -> None:
    await desk.sync()
    desk.bench.now += 24 * HOUR
    desk.start()
    assert await desk.look() == []
    assert await desk.hear(an_outage(), Reach.QUICK) == []
    assert ("begins", "stale") in await desk.hear(an_outage(), Reach.COMPLETE)


async def test_a_first_pass_that_never_ends_does_not_keep_staleness_quiet(desk: Desk) -> None:
    await desk.sync()
    desk.bench.now += 24 * HOUR
    desk.start()
    assert await desk.look(3 * HOUR) == []
    assert await desk.look(timedelta(seconds=1)) == [("begins", "stale")]


async def test_a_restart_tells_nothing_again_and_still_tells_the_end(desk: Desk) -> None:
    desk.bench.source.spoil(1)
    await desk.sync()
    await desk.hear(refused())
    desk.start()
    assert await desk.look() == []
    assert await desk.hear(refused()) == []
    assert await desk.hear(a_report()) == [("ends", "credentials refused")]


async def test_a_pause_ends_no_trouble(desk: Desk) -> None:
    await desk.hear(refused())
    desk.bench.ledger.note_pipeline("venue", is_paused=True)
    assert await desk.hear(a_report(Outcome.REFUSED, GuardRefused("pipeline venue is paused", remedy="calrelay resume venue"))) == []


async def test_a_command_that_fails_is_tried_again_ever_less_often_and_logged_once(desk: Desk) -> None:
    desk.fails = True
    with capture_logs() as lines:
        assert await desk.hear(refused()) == [("begins", "credentials refused")]
        assert await desk.look(timedelta(seconds=59)) == []
        assert len(await desk.look(timedelta(seconds=1))) == 1
        assert await desk.look(timedelta(minutes=1)) == []
        assert len(await desk.look(timedelta(minutes=1))) == 1
        for _ in range(20):
            await desk.look(LONGEST_PAUSE)
        desk.fails = False
        assert ("begins", "credentials refused") in await desk.look(LONGEST_PAUSE)
    assert [line["event"] for line in lines] == ["notification command failed", "notification command works again"]


async def test_without_a_command_nothing_is_told_and_nothing_forgotten(desk: Desk) -> None:
    command, desk.command = desk.command, ()
    assert await desk.hear(refused()) == []
    desk.command = command
    assert await desk.look() == [("begins", "credentials refused")]


async def test_a_pipeline_that_is_gone_from_the_config_is_forgotten_without_a_word(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.hear(refused())
    monkeypatch.setattr(Desk, "runners", property(lambda _: {}))
    assert await desk.look() == []
    assert SqlLedger.memos(cast("SqlLedger", desk.bench.ledger), "told:") == {}


def of_config(name: str) -> dict[str, Refusal]:
    return {name: Refusal(name=name, error=ConfigError("the file is broken", remedy="mend the file"))}


async def test_a_refused_tenant_is_told_once_and_its_end_once(desk: Desk) -> None:
    desk.refusals = of_config("acme/")
    assert await desk.look() == [("begins", "config refused")]
    assert (desk.told[0].pipeline, desk.told[0].summary, desk.told[0].remedy) == ("acme/", "the file is broken", "mend the file")
    desk.start()
    assert await desk.look(HOUR) == []
    desk.refusals = {}
    assert await desk.look(HOUR) == [("ends", "config refused")]
    assert await desk.look() == []


async def test_a_pipeline_that_the_config_does_not_name_any_more_is_told_once_and_its_end_once(desk: Desk) -> None:
    desk.deserted = {"hall": 46}
    assert await desk.look() == [("begins", "deserted")]
    assert (desk.told[0].pipeline, desk.told[0].count) == ("hall", 46)
    assert "calrelay rename hall NEW" in desk.told[0].remedy
    desk.start()
    desk.deserted = {"hall": 45}
    assert await desk.look(HOUR) == []
    desk.deserted = {}
    assert await desk.look(HOUR) == [("ends", "deserted")]


async def test_what_was_wrong_with_a_pipeline_that_cannot_run_is_not_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.hear(refused())
    with monkeypatch.context() as without:
        without.setattr(Desk, "runners", property(lambda _: {}))
        desk.refusals = of_config("venue")
        assert await desk.look() == [("begins", "config refused")]
    desk.refusals = {}
    assert await desk.hear(refused()) == [("ends", "config refused")]


async def test_a_ledger_that_cannot_be_read_ends_no_watch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def broken() -> None:
        nonlocal looks
        looks += 1
        desk.watch._changed.set()
        if looks == 3:
            raise KeyboardInterrupt
        raise StateError("the disk is full")

    monkeypatch.setattr(desk.watch, "look", broken)
    monkeypatch.setattr(Desk, "tell_status", lambda _: None, raising=False)
    desk.watch._changed.set()
    with pytest.raises(KeyboardInterrupt):
        await desk.watch.run()


async def test_no_notice_names_a_guest(desk: Desk) -> None:
    """Our own words are all there is; an address that slipped into one is blanked out."""
    leaking = a_report(Outcome.FAILED, AuthFailed("refused ada@example.com at +1 212 555 0147", remedy="ask ada@example.com"))
    await desk.hear(leaking)
    told = str(desk.told[0].to_json())
    assert "example.com" not in told
    assert "0147" not in told


def test_every_notice_is_one_line() -> None:
    notice = Notice(change=Change.BEGINS, kind="down", pipeline="venue", summary="two\nlines", remedy="", at=NOW, since=NOW)
    assert notice.line == "calrelay venue down: two lines"
    assert Health.DOWN.value == "down"
