"""Records the cassettes anew: `python -m tests.record [--vendor NAME]`, which `make record` calls. The calls stand in each vendor's deck.

Against a real account where all its variables are set (cassettes/README.md), else against the simulator. Never run by tests over the
cassettes of this repository, which are only ever played.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.vendors import cassettes_apptoto, cassettes_timetap, cassettes_timetap_messages, cassettes_tripleseat
from tests.vendors.cassettes_scrub import Scrubber
from tests.vendors.cassettes_tape import FOLDER, Deck, NothingToAskFor, Origin, Stage, Tape, recording

_BEGIN = "<!-- origins -->"
_END = "<!-- end of origins -->"

DECKS: dict[str, Deck[Any]] = {
    deck.vendor: deck
    for deck in (cassettes_tripleseat.DECK, cassettes_timetap.DECK, cassettes_timetap_messages.DECK, cassettes_apptoto.DECK)
}


async def record(deck: Deck[Any], env: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Record a vendor's cassettes and return what happened to each, in words."""
    is_real = all(env.get(name) for name in deck.variables)
    async with deck.real(env) if is_real else deck.simulated() as stage:
        scrubber = Scrubber()
        return [await _record_one(deck, method, stage, scrubber, folder) for method in deck.calls]


async def _record_one(deck: Deck[Any], method: str, stage: Stage[Any], scrubber: Scrubber, folder: Path) -> str:
    path = deck.path(method, folder)
    if method in deck.writes and not stage.may_write:
        return f"{deck.vendor}.{method}: left as it is; real accounts are written to only when told so"
    try:
        with recording(path, stage, scrubber):
            async with stage.open() as client:
                await deck.calls[method](client, stage.subject)
    except NothingToAskFor as missing:
        return f"{deck.vendor}.{method}: left as it is; the account has no {missing}"
    return f"{deck.vendor}.{method}: recorded from {'a real account' if stage.origin is Origin.ACCOUNT else 'the simulator'}"


def note_origins(folder: Path = FOLDER) -> None:
    """Write into the README where each cassette came from, out of the cassettes themselves."""
    readme = folder / "README.md"
    before, begin, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    readme.write_text(f"{before}{begin}\n{_origins(folder)}{end}{after}", encoding="utf-8")


def _origins(folder: Path) -> str:
    lines = ["| cassette | from | on |", "|---|---|---|"]
    for deck in DECKS.values():
        tapes = {method: Tape.read(deck.path(method, folder)) for method in deck.calls}
        lines += [f"| `{deck.vendor}/{method}` | {tape.origin} | {tape.recorded} |" for method, tape in tapes.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Record what is asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.record", description="Record the cassettes anew; see cassettes/README.md.")
    parser.add_argument("--vendor", choices=sorted(DECKS), help="only this vendor's")
    chosen = parser.parse_args().vendor
    for deck in DECKS.values():
        if chosen in (None, deck.vendor):
            print(*asyncio.run(record(deck, os.environ)), sep="\n")  # noqa: T201 - a command's answer
    note_origins()
    print("Read the changes before you commit them: git diff cassettes/")  # noqa: T201 - a command's answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
