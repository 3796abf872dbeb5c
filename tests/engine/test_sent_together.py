"""Batches that are under way at the same time are noted as SENDING in one transaction (rule 19), and those that stay behind are ready."""

from collections.abc import Iterable

import pytest

from calrelay.domain.link import Link, State
from calrelay.errors import AuthFailed
from calrelay.ports import Happening
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_source import MemorySource, an_event
from tests.fakes.memory_target import Call, MemoryTarget
from tests.fakes.pipelines import Bench


class CountingLedger(MemoryLedger):
    """Remembers how many links were SENDING in each transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[int] = []

    def store(self, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        links = list(links)
        super().store(links, happenings)
        self.noted += [count] if (count := sum(link.state is State.SENDING for link in links)) else []


def a_bench_in_flight(max_in_flight: int) -> tuple[Bench, CountingLedger]:
    ledger = CountingLedger()
    target = MemoryTarget(batch_size=5, max_in_flight=max_in_flight)
    return Bench(source=MemorySource([an_event(i) for i in range(1, 31)]), target=target, ledger=ledger), ledger


@pytest.mark.parametrize(("max_in_flight", "noted"), [(1, [5] * 6), (4, [20, 10])])
async def test_what_is_under_way_at_once_is_noted_at_once(max_in_flight: int, noted: list[int]) -> None:
    bench, ledger = a_bench_in_flight(max_in_flight)
    report = await bench.sync()
    assert report.created == 30
    assert ledger.noted == noted


async def test_what_was_noted_and_not_sent_is_ready_and_goes_with_the_next_pass() -> None:
    bench, ledger = a_bench_in_flight(4)
    bench.target.fail_next(AuthFailed("a login page", status=200), call=Call.UPSERT)
    await bench.sync()
    in_hand = {link.external_id for link in ledger.links_in(bench.name, {State.SENDING})}
    assert len(in_hand) == 5  # the batch that was answered so; of the three noted with it everything is known
    bench.target.finds.clear()
    await bench.sync()
    assert len(bench.target.live) == 30
    assert set(bench.target.finds) <= in_hand
