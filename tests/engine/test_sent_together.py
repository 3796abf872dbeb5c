"""Batches that are under way at the same time are noted as SENDING in one transaction (rule 19), and those that stay behind are ready."""

from collections.abc import Iterable

import pytest

from calrelay.domain.link import Link, State
from calrelay.errors import AuthFailed
from calrelay.ports import Happening
from tests.fakes import pipelines
from tests.fakes.memory_source import MemorySource, an_event
from tests.fakes.memory_target import Call, MemoryTarget
from tests.fakes.pipelines import Bench


def a_bench_in_flight(max_in_flight: int) -> Bench:
    target = MemoryTarget(batch_size=5, max_in_flight=max_in_flight)
    return Bench(source=MemorySource([an_event(i) for i in range(1, 31)]), target=target, ledger=pipelines.new_ledger())


def count_sending(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Remember how many links were SENDING in each transaction from now on."""
    noted: list[int] = []
    store = bench.ledger.store

    def storing(links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        links = list(links)
        store(links, happenings)
        noted.extend([count] if (count := sum(link.state is State.SENDING for link in links)) else [])

    monkeypatch.setattr(bench.ledger, "store", storing)
    return noted


@pytest.mark.parametrize(("max_in_flight", "noted"), [(1, [5] * 6), (4, [20, 10])])
async def test_what_is_under_way_at_once_is_noted_at_once(max_in_flight: int, noted: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench_in_flight(max_in_flight)
    counted = count_sending(bench, monkeypatch)
    report = await bench.sync()
    assert (report.created, counted) == (30, noted)


async def test_what_was_noted_and_not_sent_is_ready_and_goes_with_the_next_pass() -> None:
    bench = a_bench_in_flight(4)
    bench.target.fail_next(AuthFailed("a login page", status=200), call=Call.UPSERT)
    await bench.sync()
    in_hand = {link.external_id for link in bench.ledger.links_in(bench.name, {State.SENDING})}
    assert len(in_hand) == 5  # the batch that was answered so; of the three noted with it everything is known
    bench.target.finds.clear()
    await bench.sync()
    assert len(bench.target.live) == 30
    assert set(bench.target.finds) <= in_hand
