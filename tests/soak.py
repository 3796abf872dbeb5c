"""A soak: `python -m tests.soak --seconds N --seed S`, which `make soak` calls. The real daemon against three vendors that misbehave.

For the chosen time bookings change at both sources, answers are spoiled, and the daemon is killed, ended and reloaded; somebody approves
what is held. Then the vendors behave again, and the target must come to hold what the sources want. The simulators alone are asked
whether it does. A seed repeats edits and troubles in their order; when they meet the daemon is up to the machine.
"""

import asyncio
import dataclasses
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.soaking.edits import Hands
from tests.soaking.ground import PIPELINES, Ground, a_ground
from tests.soaking.process import DaemonProcess, Memory, Operator
from tests.soaking.repeating import repeat
from tests.soaking.trouble import Trouble
from tests.soaking.witness import Witness

EDITS_A_SECOND = 2.0
QUIET_WITHIN = 240.0  # after the troubles; an answer under way may take a minute
ODD_ENDS_TOLD = 3  # with a daemon that cannot start there would be hundreds
TIMEOUTS_FROM = 240.0  # seconds of soak from which on some answers take longer than a client waits


@dataclasses.dataclass(slots=True, kw_only=True)
class Outcome:
    """What a soak came to."""

    seed: int
    seconds: float
    settled_in: float | None = None
    edits: Counter[str] = dataclasses.field(default_factory=Counter)
    signals: Counter[str] = dataclasses.field(default_factory=Counter)
    survived: Counter[str] = dataclasses.field(default_factory=Counter)
    requests: dict[str, int] = dataclasses.field(default_factory=dict)
    writes: int = 0
    sent_again: int = 0
    held: int = 0
    messages: int = 0
    approved: int = 0
    logins: int = 0
    slowest_end: float = 0.0
    memories: list[Memory] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """Tell it."""
        signals = ", ".join(f"{number} × {name}" for name, number in sorted(self.signals.items())) or "none"
        asked = ", ".join(f"{name} {number}" for name, number in self.requests.items())
        settled = "never" if self.settled_in is None else f"{self.settled_in:.1f} s"
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} seconds",
            f"changes at the sources   {self.edits.total()}",
            *_table(self.edits),
            f"signals                  {signals}; slowest end {self.slowest_end:.1f} s",
            f"faults survived          {self.survived.total()}",
            *_table(self.survived),
            f"requests                 {asked}; {self.writes} of them write",
            f"events sent again        {self.sent_again}",
            f"holds approved           {self.approved}; consents given anew {self.logins}",
            f"messages sent            {self.messages}",
            f"memory                   {self._memory()}",
            f"in step again after      {settled}; {self.held} events at the target",
        ]
        verdict = ["nothing lost, nothing doubled, nobody messaged by accident"] if not self.wrong else ["WRONG:", *self.wrong]
        return "\n".join([*lines, "", *verdict])

    def _memory(self) -> str:
        longest = max(self.memories, key=lambda memory: memory.seconds, default=Memory())
        peak = max((memory.peak for memory in self.memories), default=0.0)
        grown = f"{longest.first:.0f} MiB after a first pass, {longest.last:.0f} MiB {longest.seconds:.0f} s after the start"
        return f"{grown}; highest {peak:.0f} MiB"


def _table(counted: Counter[str]) -> list[str]:
    return [f"    {number:5d}  {name}" for name, number in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]


class Soak:
    """One soak on its ground. `run` may be called once."""

    def __init__(self, ground: Ground, seed: int, seconds: float) -> None:
        self._ground = ground
        self._seconds = seconds
        self._rng = random.Random(f"soak {seed}")
        self._hands = Hands(ground.world, seed)
        self._trouble = Trouble(ground.world, seed, times_out=seconds >= TIMEOUTS_FROM)
        self._witness = Witness(ground.world)
        self._hands.on_edit = self._witness.note
        self._daemon = DaemonProcess(ground.config)
        self._operator = Operator(ground.config)
        self._writing = asyncio.Event()
        self._needs_login = False
        self._outcome = Outcome(seed=seed, seconds=seconds)
        self._watch_writes()

    async def run(self) -> Outcome:
        """Make trouble for the chosen time, then let it settle, then judge."""
        await self._daemon.start()
        async with asyncio.TaskGroup() as group:
            look_after = group.create_task(self._look_after())
            await self._daemon.wait_until_ready()
            await self._trouble_for(self._seconds)
            await self._settle()
            look_after.cancel()
        await self._end_daemon()
        self._keep_books()
        return self._judge()

    # --- trouble ---

    async def _trouble_for(self, seconds: float) -> None:
        work = (
            (1 / EDITS_A_SECOND, self._edit),
            (1.3, self._spoil),
            (4.0, self._change_mood),
            (7.0, self._disturb),
            (3.0, self._operator.decide),
            (9.0, self._operator.retry),
        )
        async with asyncio.TaskGroup() as group:
            for mean, act in work:
                group.create_task(self._repeat(mean, act, until=time.monotonic() + seconds))
        self._trouble.end()
        self._hands.show_all()
        self._ground.configure()

    async def _repeat(self, mean: float, act: Callable[[], Awaitable[None]], *, until: float) -> None:
        """Act at random intervals; what has begun is brought to its end."""
        while True:
            pause = min(self._rng.expovariate(1 / mean), 3 * mean)
            await asyncio.sleep(max(0.0, min(pause, until - time.monotonic())))
            if time.monotonic() >= until:
                return
            await act()

    async def _edit(self) -> None:
        self._hands.edit()

    async def _spoil(self) -> None:
        self._trouble.spoil()

    async def _change_mood(self) -> None:
        self._trouble.change_mood()
        self._witness.note()

    async def _disturb(self) -> None:
        """Kill, end or reload the daemon: at any moment, or while the target is being written to."""
        way = self._rng.choices(("kill -9", "kill -9 while writing", "SIGTERM", "SIGHUP"), weights=(3, 3, 2, 2))[0]
        if way in ("SIGTERM", "SIGHUP"):
            await self._daemon.wait_until_ready()
        if way == "kill -9 while writing":
            await self._until_writing()
        self._outcome.signals[way] += 1
        if way == "SIGHUP":
            await self._reload()
        elif way == "SIGTERM":
            await self._end_daemon()
            await self._daemon.start()
        else:
            await self._daemon.kill()
            await self._daemon.start()

    async def _until_writing(self) -> None:
        self._writing.clear()
        try:
            async with asyncio.timeout(5):
                await self._writing.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._rng.uniform(0, 0.1))

    def _watch_writes(self) -> None:
        faults = self._ground.world.apptoto.faults
        take = faults.take

        def watched(method: str, path: str) -> object:
            if method in ("PUT", "DELETE"):
                self._writing.set()
            return take(method, path)

        faults.take = watched  # type: ignore[method-assign, assignment] # tells when the target is being written to

    async def _reload(self) -> None:
        """Reload a config that is the same, another one, or broken; a broken one is mended before anybody else reads it."""
        if self._rng.random() >= 0.25:
            self._ground.configure(every=self._rng.choice(("1s", "2s")))
            self._daemon.reload()
            return
        async with self._operator.at_rest:
            sound = self._ground.config.read_text()
            self._ground.config.write_text("this is no config")
            await self._daemon.reload_in_vain()
            self._ground.config.write_text(sound)

    # --- beside it ---

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            await self._daemon.look_after()
            self._keep_books()
            if self._needs_login:
                world = self._ground.world
                code = world.tripleseat.authority.consent(world.tripleseat.settings.redirect_uri)
                has_consent = await self._operator.log_in(code)
                self._outcome.logins += has_consent
                self._needs_login = not has_consent

    def _keep_books(self) -> None:
        self._daemon.read()
        requests = self._ground.take_requests()
        self._witness.read(requests["apptoto"])
        self._needs_login |= any(entry.path == "/oauth2/token" and entry.status in (400, 401) for entry in requests["tripleseat"])

    async def _end_daemon(self) -> None:
        self._outcome.slowest_end = max(self._outcome.slowest_end, await self._daemon.end())

    # --- the end ---

    async def _settle(self) -> None:
        """Wait until the target holds what the sources want, and two complete passes of each pipeline after that wrote nothing."""
        began = time.monotonic()
        while time.monotonic() - began < QUIET_WITHIN:
            await self._operator.decide()
            await self._operator.retry()
            if not self._witness.differences():
                in_step = time.monotonic() - began
                if await self._stays_quiet(began + QUIET_WITHIN):
                    self._outcome.settled_in = in_step
                    return
            await asyncio.sleep(0.5)

    async def _stays_quiet(self, until: float) -> bool:
        writes, seen, passes = self._witness.writes, len(self._passes), Counter[str]()
        while time.monotonic() < until and self._witness.writes == writes:
            for line in self._passes[seen:]:
                seen += 1
                passes[str(line["pipeline"])] += line["reach"] == "complete" and line["outcome"] == "ok"
            if all(passes[pipeline] >= 2 for pipeline in PIPELINES):
                return True
            await asyncio.sleep(0.2)
        return False

    @property
    def _passes(self) -> list[dict[str, object]]:
        return self._daemon.passes

    def _judge(self) -> Outcome:
        outcome, witness = self._outcome, self._witness
        outcome.edits, outcome.survived = self._hands.changed, self._trouble.survived
        outcome.requests, outcome.writes, outcome.sent_again = self._ground.asked, witness.writes, witness.sent_again
        outcome.held, outcome.messages = witness.held, witness.messages
        outcome.approved, outcome.memories = self._operator.approved, self._daemon.memories
        outcome.wrong = [*witness.differences(), *witness.crimes, *witness.message_crimes()]
        outcome.wrong += [f"the daemon {end}" for end in self._daemon.odd_ends[:ODD_ENDS_TOLD]] + self._operator.odd_answers
        if outcome.settled_in is None:
            outcome.wrong.append(f"not in step, or not quiet, {QUIET_WITHIN:.0f} s after the last fault\n{self._daemon.tail()}")
        return outcome


async def soak(seconds: float, seed: int, folder: Path, *, events: int = 110, appointments: int = 60) -> Outcome:
    """Soak for so long and return what came of it."""
    async with a_ground(folder, seed, events=events, appointments=appointments) as ground:
        return await Soak(ground, seed, seconds).run()


def main() -> int:
    """Soak as the command line says; 1 when anything was lost, doubled, sent to the wrong people or not ended cleanly."""
    return repeat(soak, make="soak", description="Run the daemon against vendors that misbehave.")


if __name__ == "__main__":
    sys.exit(main())
