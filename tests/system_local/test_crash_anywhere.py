"""Death at every single request of a pass that creates, updates, moves and deletes: the next pass ends where no death would have."""

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from calrelay.assembly import assemble
from calrelay.cli.passes import run_passes
from calrelay.config.load import load_config
from calrelay.engine.order import Order
from calrelay.engine.report import PassReport
from calrelay.errors import ExitCode
from calrelay.simulators.faults import When
from calrelay.simulators.tripleseat_places import ALDER_HOUSE
from calrelay.simulators.tripleseat_rows import an_event_row
from calrelay.vendors.registry import VENDORS
from tests.system_local.conftest import NOW
from tests.system_local.stage import Stage, a_stage

FIRST = 61_000_001
TERRACE = ALDER_HOUSE.rooms[1].id
REQUESTS = 9  # of the pass that is killed; a test below counts them


class Killed(BaseException):
    """The process ends here; nothing in it may react, least of all by writing anything down."""


@dataclasses.dataclass(slots=True)
class _Deadly(httpx.AsyncBaseTransport):
    """The road to the target, up to the request that is the last."""

    inner: httpx.AsyncBaseTransport
    left: int
    when: When

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left == 0 and self.when is When.BEFORE:
            raise Killed
        response = await self.inner.handle_async_request(request)
        if self.left == 0:
            raise Killed
        return response


def sync_and_die(stage: Stage, *, at: int, when: When) -> None:
    """Run a pass that is killed at the given request to the target, before the target has seen it or after."""

    async def run() -> None:
        deadly = _Deadly(httpx.ASGITransport(app=stage.world.apptoto.app), at, when)
        config = load_config(stage.config, VENDORS)
        async with assemble(
            config, command="sync", pipelines=["venue"], clock=stage.world.clock.now, transports={"reminders": deadly}
        ) as relay:
            reports: list[PassReport] = []
            await run_passes(relay, Order(command="sync"), reports)

    died = False
    try:
        asyncio.run(run())
    except* Killed:
        died = True
    assert died


def wall(days: float) -> datetime:
    return (NOW + timedelta(days=days, hours=-5)).replace(tzinfo=None)


def book(stage: Stage, numbers: range) -> None:
    for number in numbers:
        start = wall(5 + number)
        stage.world.tripleseat.events.add(
            an_event_row(FIRST + number, start, start + timedelta(hours=2), name=f"Dinner {number}", guest_count=None)
        )


@pytest.fixture
def busy_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    """Ten dinners are relayed; since then two were lost, two went to another room, three changed and four are new."""
    with a_stage(tmp_path, capsys, now=NOW) as stage:
        stage.configure(first_load="1000\ndeletes = 100")
        text = stage.config.read_text()
        stage.config.write_text(text.replace("requests_per_minute = 30000", "requests_per_minute = 30000\nbatch_size = 2"))
        book(stage, range(10))
        assert stage.sync("venue").of("venue").created == 10
        events = stage.world.tripleseat.events
        for number in (0, 1):
            events.set_status(FIRST + number, "LOST")
        for number in (2, 3):
            events.relocate(FIRST + number, ALDER_HOUSE.id, [TERRACE])
        events.shift(FIRST + 4, timedelta(hours=1))
        events.rename(FIRST + 5, "Another Name")
        events.set_guests(FIRST + 6, 12)
        book(stage, range(10, 14))
        stage.forget_requests()
        yield stage


def picture(stage: Stage) -> dict[str, tuple[str, datetime, str, str]]:
    """Return what the target holds, without the generations that a death may use up."""
    held = stage.held()
    assert len({external_id.partition(".")[0] for external_id in held}) == len(held)
    return {
        external_id.partition(".")[0]: (event.title, event.start_time, event.content, stage.calendar_of(external_id))
        for external_id, event in held.items()
    }


def expected() -> dict[str, tuple[str, datetime, str, str]]:
    entries = {}
    for number in range(2, 14):
        start = NOW + timedelta(days=5 + number, hours=1 if number == 4 else 0)
        title = "Another Name" if number == 5 else f"Dinner {number}"
        content = "12 guests" if number == 6 else ""
        entries[f"ts-{FIRST + number}"] = (title, start, content, "Terrace" if number in (2, 3) else "Main Hall")
    return entries


def test_the_pass_that_is_to_be_killed_has_as_many_requests_as_this_file_thinks(busy_stage: Stage) -> None:
    assert busy_stage.sync("venue").code == 0
    assert len(busy_stage.world.apptoto.journal.entries) == REQUESTS
    assert picture(busy_stage) == expected()


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_wherever_a_pass_dies_the_next_one_ends_where_it_would_have(busy_stage: Stage, at: int, when: When) -> None:
    sync_and_die(busy_stage, at=at, when=when)
    passes = busy_stage.sync("venue")
    assert passes.code == ExitCode.DONE, passes.document
    assert picture(busy_stage) == expected()
    busy_stage.forget_requests()
    busy_stage.sync("venue")
    assert busy_stage.writes() == []


@pytest.mark.parametrize("at", [1, 4, 8])
def test_two_deaths_in_a_row_are_no_worse_than_one(busy_stage: Stage, at: int) -> None:
    sync_and_die(busy_stage, at=at, when=When.AFTER)
    sync_and_die(busy_stage, at=2, when=When.AFTER)
    assert busy_stage.sync("venue").code == ExitCode.DONE
    assert picture(busy_stage) == expected()


@pytest.mark.parametrize("at", [1, 3, 5, 9])
def test_what_changes_between_death_and_the_next_pass_is_what_counts(busy_stage: Stage, at: int) -> None:
    """A row that was in flight is lost, moved or back by the time anybody looks again."""
    sync_and_die(busy_stage, at=at, when=When.AFTER)
    events = busy_stage.world.tripleseat.events
    events.set_status(FIRST, "DEFINITE")
    events.relocate(FIRST + 2, ALDER_HOUSE.id, [ALDER_HOUSE.rooms[0].id])
    events.shift(FIRST + 4, timedelta(hours=1))
    events.set_status(FIRST + 10, "LOST")
    assert busy_stage.sync("venue").code == ExitCode.DONE
    wanted = expected()
    wanted[f"ts-{FIRST}"] = ("Dinner 0", NOW + timedelta(days=5), "", "Main Hall")
    wanted[f"ts-{FIRST + 2}"] = (*wanted[f"ts-{FIRST + 2}"][:3], "Main Hall")
    wanted[f"ts-{FIRST + 4}"] = ("Dinner 4", NOW + timedelta(days=9, hours=2), "", "Main Hall")
    del wanted[f"ts-{FIRST + 10}"]
    assert picture(busy_stage) == wanted
