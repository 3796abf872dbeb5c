"""A soak as a command: seed after seed, until one goes wrong."""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol


class Outcome(Protocol):
    """What came of a soak."""

    wrong: list[str]

    def describe(self) -> str:
        """Say it."""


def repeat(soak: Callable[[float, int, Path], Awaitable[Outcome]], *, make: str, description: str) -> int:
    """Soak as the command line says; 1 when anything was wrong, which ends it. `make` is the target that repeats one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=60, help="how long to make trouble (default 60)")
    parser.add_argument("--seed", type=int, default=None, help="repeats edits and troubles in their order; random when not given")
    parser.add_argument("--seeds", type=int, default=1, help="how many times, each with a seed of its own (default 1)")
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder to keep configs, states and logs in, by seed")
    asked = parser.parse_args()
    for seed in _seeds(asked.seed, asked.seeds):
        with tempfile.TemporaryDirectory(prefix="calrelay-soak-") as folder:
            place = Path(folder) if asked.keep is None else asked.keep / str(seed)
            place.mkdir(parents=True, exist_ok=True)
            outcome = asyncio.run(_soaked(soak, asked.seconds, seed, place))
        print(outcome.describe())  # noqa: T201 - a command's answer
        print(f"repeat: make {make} SOAK={asked.seconds:.0f} SEED={seed}", flush=True)  # noqa: T201 - as above
        if outcome.wrong:
            return 1
    return 0


def _seeds(first: int | None, number: int) -> Sequence[int]:
    return random.sample(range(1_000_000), number) if first is None else range(first, first + number)


async def _soaked(soak: Callable[[float, int, Path], Awaitable[Outcome]], seconds: float, seed: int, folder: Path) -> Outcome:
    return await soak(seconds, seed, folder)
