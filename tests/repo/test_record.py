"""Recording as a command: what it writes to, and above all what it does not."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.record import DECKS, record
from tests.vendors import cassettes_apptoto, cassettes_tripleseat
from tests.vendors.cassettes_tape import Deck, Stage, Subject

WRITING = [deck for deck in DECKS.values() if deck.writes]


def changed(deck: Deck[Any], **stage: Any) -> Deck[Any]:
    @asynccontextmanager
    async def simulated() -> AsyncIterator[Stage[Any]]:
        async with deck.simulated() as made:
            yield dataclasses.replace(made, **stage)

    return dataclasses.replace(deck, simulated=simulated)


@pytest.mark.parametrize("deck", WRITING, ids=[deck.vendor for deck in WRITING])
async def test_without_permission_nothing_is_written_to_an_account(deck: Deck[Any], tmp_path: Path) -> None:
    told = await record(changed(deck, may_write=False), {}, tmp_path)
    assert {path.stem for path in (tmp_path / deck.vendor).iterdir()} == set(deck.calls) - deck.writes
    assert sum("only when told so" in line for line in told) == len(deck.writes)


async def test_an_account_without_anything_to_ask_for_keeps_the_cassette_as_it_is(tmp_path: Path) -> None:
    deck = changed(DECKS["timetap"], subject=Subject(first_day="2026-12-01", last_day="2026-12-31"))
    told = await record(deck, {}, tmp_path)
    assert [line for line in told if "the account has no calendar_id" in line]
    assert not deck.path("show", tmp_path).exists()


async def test_an_account_is_recorded_only_when_all_its_variables_are_set(tmp_path: Path) -> None:
    deck = DECKS["timetap"]
    told = await record(deck, {deck.variables[0]: "340000", deck.variables[1]: ""}, tmp_path)
    assert all("from the simulator" in line for line in told)


@pytest.mark.parametrize("vendor", [cassettes_apptoto, cassettes_tripleseat], ids=["apptoto", "tripleseat"])
def test_writing_needs_every_one_of_its_variables(vendor: Any) -> None:
    complete = dict.fromkeys(vendor.WRITE_VARIABLES, "1000030001") | {vendor.WRITE_VARIABLES[0]: "yes"}
    assert vendor.may_write(complete)
    assert not vendor.may_write({})
    assert not vendor.may_write(complete | {vendor.WRITE_VARIABLES[0]: "1"})
    for name in complete:
        assert not vendor.may_write({key: value for key, value in complete.items() if key != name})
