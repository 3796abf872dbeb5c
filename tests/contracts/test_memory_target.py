"""The target in memory keeps the same contract as a real one, and its knobs do what the engine's tests rely on."""

from typing import Any

import pytest

from calrelay.domain.link import CalendarId, ExternalId
from calrelay.errors import AuthFailed, VendorUnavailable
from calrelay.ports import Flaw
from tests.contracts.target_contract import START, YEAR, TargetContract, TargetWorld, a_put, an_entry
from tests.fakes.memory_target import MAIN_HALL, TERRACE, Applied, Call, MemoryTarget, Poison


class MemoryWorld:
    """The fake as a TargetWorld."""

    main_hall = MAIN_HALL
    terrace = TERRACE

    def __init__(self) -> None:
        self.memory = MemoryTarget(batch_size=5)
        self.memory.page_size = 3
        self.target = self.memory

    def refuse(self, external_id: str) -> None:
        self.memory.poison[ExternalId(external_id)] = Poison.REFUSE

    def drop(self, external_id: str) -> None:
        self.memory.poison[ExternalId(external_id)] = Poison.DROP

    def fail_writes(self, *, applied: bool) -> None:
        when = Applied.ALL if applied else Applied.NOTHING
        self.memory.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, applied=when)

    def fail_page(self) -> None:
        self.memory.fail_next(VendorUnavailable("no answer"), call=Call.LISTING)

    def refuse_credentials(self) -> None:
        self.memory.fail_next(AuthFailed("refused"), times=100)

    def hide_external_ids(self) -> None:
        self.memory.echoes_external_ids = False


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    def world(self) -> TargetWorld:
        return MemoryWorld()

    async def test_every_batch_is_remembered_even_a_failed_one(self) -> None:
        target = MemoryTarget()
        target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT)
        put = a_put("ts-1", an_entry(MAIN_HALL))
        with pytest.raises(VendorUnavailable):
            await target.upsert([put])
        await target.upsert([put])
        assert target.upserts == [(put,), (put,)]

    async def test_a_broken_calendar_refuses_and_is_not_sound(self) -> None:
        target = MemoryTarget()
        target.broken_calendars.add(TERRACE)
        assert not await target.calendar_is_sound(TERRACE)
        assert await target.calendar_is_sound(MAIN_HALL)

    async def test_a_change_behind_our_back_shows(self) -> None:
        target = MemoryTarget()
        target.place("ts-1", an_entry(MAIN_HALL))
        target.change("ts-1", title="Wedding", calendar=CalendarId("7"))
        assert (target.held("ts-1").title, target.held("ts-1").calendar, target.sent) == ("Wedding", "7", [])
        target.lose("ts-1")
        assert target.live == {}

    async def test_a_flaw_that_was_asked_for_ends_a_list(self) -> None:
        target = MemoryTarget()
        target.place("ts-1", an_entry(MAIN_HALL, start=START))
        target.flaws = [Flaw(what="cut off")]
        assert [type(part) async for part in target.listing(YEAR)] == [list, Flaw]

    @pytest.mark.parametrize("ask", [lambda t: t.calendars(), lambda t: t.find(ExternalId("x")), lambda t: t.probe()])
    async def test_reads_fail_as_well_once_each(self, ask: Any) -> None:
        target = MemoryTarget()
        target.fail_next(VendorUnavailable("no answer"), applied=Applied.ALL)
        with pytest.raises(VendorUnavailable):
            await ask(target)
        await ask(target)
