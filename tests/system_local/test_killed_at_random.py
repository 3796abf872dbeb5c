"""The installed command, killed at arbitrary moments while the source changes under it: in the end everything is there, once."""

import dataclasses
import random
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.tripleseat.settings import Deletion
from tests.system_local.naive import wanted_of
from tests.system_local.stage import Stage

SEEDS = range(3)
DEATHS = 4
SYNC = ("sync", "venue", "--json")
PATIENCE = 30.0
LOOSE = """
updates = { count = 1000, share = 1.0 }
deletes = { count = 1000, share = 1.0 }
same_shift = { count = 1000, share = 1.0 }
"""


@dataclasses.dataclass(slots=True)
class Hand:
    """Somebody at the venue, and the hand that kills; the same for the same seed, but for what the machine's speed makes of it."""

    stage: Stage
    rng: random.Random
    killed: int = 0

    def change_something(self) -> None:
        """Rename, move, cancel, delete and book again a few events of the next months."""
        events = self.stage.world.tripleseat.events
        ids = [stored.row["id"] for stored in events if stored.row["status"] == "DEFINITE" and stored.deletion is None]
        chosen = self.rng.sample(ids, 8)
        for number in chosen[:3]:
            events.rename(number, f"Dinner of {self.rng.randrange(1000)}")
        for number in chosen[3:6]:
            events.shift(number, timedelta(days=self.rng.choice((1, 2, 3)), minutes=self.rng.choice((0, 30))))
        events.set_status(chosen[6], "LOST")
        events.delete(chosen[7], self.rng.choice(list(Deletion)))

    def kill_a_sync(self) -> None:
        """Let it come to its n-th write, and a little further, and kill it there; some passes are over before."""
        writes, last = len(self.stage.writes()), self.rng.randrange(1, 3)
        with self.stage.spawn(*SYNC) as process:
            until = time.monotonic() + PATIENCE
            while process.poll() is None and len(self.stage.writes()) < writes + last and time.monotonic() < until:
                threading.Event().wait(0.002)
            threading.Event().wait(self.rng.random() * 0.05)
            process.kill()
            process.communicate(timeout=PATIENCE)
        self.killed += process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again_while_bookings_change_nothing_is_lost_doubled_or_left_behind(small_stage: Stage, seed: int) -> None:
    hand = Hand(small_stage, random.Random(seed))
    small_stage.configure(venue_tables=LOOSE)
    small_stage.world.apptoto.faults.add(Fault(kind=Kind.SLOW, seconds=0.03, times=None, when=random.Random(seed).choice(list(When))))
    for _ in range(DEATHS):
        hand.kill_a_sync()
        hand.change_something()
    assert hand.killed
    last = small_stage.execute(*SYNC)
    assert last.code == 0, last
    wanted = {external_id for external_id in wanted_of(small_stage.world, datetime.now(UTC)) if external_id.startswith("ts-")}
    bases = [external_id.split(".")[0] for external_id in small_stage.held()]
    assert sorted(bases) == sorted(wanted)
    told = small_stage.world.apptoto.messages.sent
    assert len({(message.external_id, message.to, message.purpose, message.channel, message.at) for message in told}) == len(told)
    small_stage.forget_requests()
    assert small_stage.type(*SYNC).code == 0
    assert small_stage.writes() == []
