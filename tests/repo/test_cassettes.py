"""The cassettes as they are committed: complete, played only, without people and secrets, and honest about where they came from."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr.errors

from tests.record import DECKS
from tests.vendors.cassettes_scrub import Scrubber
from tests.vendors.cassettes_tape import FOLDER, Deck, Leak, Origin, Stage, Tape, leaks, playing, recording

ALL = sorted(FOLDER.glob("*/*.yaml"))
each_cassette = pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}.{path.stem}")
each_vendor = pytest.mark.parametrize("deck", DECKS.values(), ids=list(DECKS))


def public_calls(client: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(client)
        if not name.startswith("_") and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
    }


@each_vendor
def test_every_method_of_a_client_has_a_cassette(deck: Deck[Any]) -> None:
    assert public_calls(deck.client) == set(deck.calls)
    assert {path.stem for path in (FOLDER / deck.vendor).iterdir()} == set(deck.calls)


@each_cassette
def test_a_cassette_holds_no_secret_and_no_real_address_or_number(path: Path) -> None:
    assert leaks(path.read_text(encoding="utf-8")) == []


@each_cassette
def test_a_cassette_is_what_the_scrubber_leaves(path: Path) -> None:
    """Scrubbing it again changes nothing, so nothing that the scrubber would replace was added by hand."""
    tape = Tape.read(path)
    assert [Scrubber().exchange(one["request"], one["response"]) for one in tape.interactions] == tape.interactions
    assert Scrubber().subject(tape.subject) == tape.subject


@each_cassette
def test_a_cassette_is_small_enough_to_be_read(path: Path) -> None:
    tape = Tape.read(path)
    assert len(tape.interactions) <= 3
    assert path.stat().st_size < 60_000


RECORD = """
import asyncio, sys
from pathlib import Path
from tests.record import DECKS, record
asyncio.run(record(DECKS[sys.argv[1]], {}, Path(sys.argv[2])))
"""


@each_vendor
def test_recording_the_simulator_again_gives_the_same_files_to_the_byte(deck: Deck[Any], tmp_path: Path) -> None:
    """In a process of its own, as `make record` does it: what vcr patches is shared by all tests of a process."""
    subprocess.run([sys.executable, "-c", RECORD, deck.vendor, str(tmp_path)], cwd=FOLDER.parent, check=True, timeout=120)
    for method in deck.calls:
        committed = deck.path(method)
        if Tape.read(committed).origin is Origin.SIMULATORS:
            assert deck.path(method, tmp_path).read_bytes() == committed.read_bytes(), method


@each_vendor
async def test_a_request_that_a_cassette_does_not_hold_is_refused(deck: Deck[Any]) -> None:
    """Nothing is recorded in the test run, and nothing reaches the network."""
    first, second = list(deck.calls)[:2]
    with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException), playing(deck, first) as subject:
        async with deck.played() as client:
            await deck.calls[second](client, subject)


@each_vendor
def test_the_readme_says_where_each_cassette_came_from(deck: Deck[Any]) -> None:
    told = dict(re.findall(r"^\| `(\w+/\w+)` \| (\w+) ", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    for method in deck.calls:
        assert told[f"{deck.vendor}/{method}"] == Tape.read(deck.path(method)).origin


@each_vendor
def test_the_readme_names_every_variable(deck: Deck[Any]) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in deck.variables)


@each_vendor
async def test_what_holds_a_secret_is_never_written(deck: Deck[Any], tmp_path: Path) -> None:
    """The last check before the disk: whatever the scrubber left, a known secret stops the file."""
    async with deck.simulated() as stage:
        method = next(iter(deck.calls))
        transport = httpx.AsyncHTTPTransport.handle_async_request
        spoilt = Stage(
            open=stage.open,
            subject=stage.subject,
            origin=stage.origin,
            may_write=stage.may_write,
            secrets=lambda: ("application/json",),
            today=stage.today,
        )
        with pytest.raises(Leak, match="the secret no"), recording(deck.path(method, tmp_path), spoilt, Scrubber()):
            async with stage.open() as client:
                await deck.calls[method](client, stage.subject)
        assert list(deck.path(method, tmp_path).parent.iterdir()) == []
        assert httpx.AsyncHTTPTransport.handle_async_request is transport  # or every later request of this process would be recorded


def test_json_in_cassettes_is_indented_for_readers() -> None:
    bodies = [one["response"]["body"]["string"] for path in ALL for one in Tape.read(path).interactions]
    for body in filter(None, bodies):
        assert body == json.dumps(json.loads(body), indent=1, ensure_ascii=False) + "\n"
