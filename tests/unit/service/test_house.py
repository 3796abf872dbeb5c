"""The state is kept small, once a day."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from calrelay.domain.link import ExternalId
from calrelay.ports import Happening
from calrelay.service.daemon import Daemon
from calrelay.service.upkeep import HOUSE_EVERY, keep_house
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.fakes.memory_source import NOW

EVENT = ExternalId("ts-9")


class Bell:
    """A schedule that a test rings."""

    def repeat(self, _name: str, call: Callable[[], None], *, every: timedelta, first: timedelta) -> None:
        assert every == HOUSE_EVERY
        assert first < every
        self.ring = call


async def test_old_history_is_forgotten_and_younger_stays() -> None:
    with open_in_memory() as database:
        ledger, bell = SqlLedger(database), Bell()
        ages = (timedelta(days=401), timedelta(days=399), timedelta())
        ledger.store([], [Happening(at=NOW - age, pipeline="venue", external_id=EVENT, what="updated") for age in ages])
        daemon = SimpleNamespace(schedule=bell, relay=SimpleNamespace(ledger=ledger), clock=lambda: NOW)
        house = asyncio.create_task(keep_house(cast("Daemon", daemon)))
        await asyncio.sleep(0)
        assert len(ledger.history("venue", EVENT)) == 3
        bell.ring()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [NOW - line.at for line in ledger.history("venue", EVENT)] == [timedelta(days=399), timedelta()]
        house.cancel()
