"""How the demo speaks: headings, the commands it types with what they print, and lists cut short. Knows nothing of the story."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from calrelay.cli.demo_stage import Mailbag, Stage
from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Progress, Table
from calrelay.cli.session import Session
from calrelay.errors import CalrelayError, ExitCode

LONGEST = 7  # rows of one table; a plan of a whole season has a hundred
LEFT = 5
MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.ATTENTION: "done, but look at quarantine",
    ExitCode.VENDOR: "a vendor is unavailable, or a read incomplete",
    ExitCode.GUARD: "a guard refused, or holds wait for you",
}
ONCE = ("Skipped and noted",)

Command = Callable[[Session, Output], int]
Answer = tuple[Mapping[str, Any], Sequence[Block]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that was run, on which occasion, what it answered, and Apptoto's messages before and after."""

    occasion: str
    typed: str
    started: datetime
    exit_code: int
    document: Mapping[str, Any]
    before: Mailbag
    after: Mailbag

    @property
    def passes(self) -> Sequence[Mapping[str, Any]]:
        """The passes of its document."""
        passes: Sequence[Mapping[str, Any]] = self.document.get("passes", ())
        return passes

    def total(self, counter: str) -> int:
        """Add up a counter over all pipelines."""
        return sum(int(one.get(counter, 0)) for one in self.passes)

    def problem(self, pipeline: str) -> Mapping[str, str]:
        """Return the first problem of a pipeline."""
        return next(problem for one in self.passes if one["pipeline"] == pipeline for problem in one["problems"])


@dataclasses.dataclass(frozen=True, slots=True)
class _Tap(Output):
    """Keeps what a command answers, in both forms, instead of printing it."""

    answers: list[Answer] = dataclasses.field(default_factory=list)

    def answer(self, document: Mapping[str, Any], blocks: Sequence[Block]) -> None:
        self.answers.append((document, blocks))

    def message(self, *lines: str) -> None:
        pass  # "Asking …": the demo says by itself what it does

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress]:  # noqa: ARG002 - the overridden signature
        yield _Silence()


class _Silence:
    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:
        pass

    def glance(self, what: str) -> None:
        pass


async def _finished(running: asyncio.Future[int]) -> int:
    """Wait for a command even while the demo is being ended: without the simulators it would go on asking for a minute."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class Voice:
    """Tells the story as it happens, and remembers the commands that were run."""

    def __init__(self, output: Output, stage: Stage) -> None:
        self._output = output
        self._stage = stage
        self._chapters = 0
        self._shown: set[str] = set()
        self.ran: list[Ran] = []

    def chapter(self, title: str, *text: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        heading = f"{self._chapters}. {title}"
        self._output.say("", "", heading, "─" * len(heading), *text)

    def say(self, *blocks: Block) -> None:
        """Tell something."""
        self._output.say(*blocks)

    async def run(self, occasion: str, typed: str, command: Command) -> Ran:
        """Type a command, run it as the command line would, and show what it prints and how it ends.

        Commands bring an event loop of their own, so each runs in a thread, and the simulators answer from this loop.
        """
        before, tap, started = self._stage.messages(), _Tap(), datetime.now(UTC)
        self._output.say("", f"$ {typed}")
        try:
            exit_code = await _finished(asyncio.ensure_future(asyncio.to_thread(command, self._stage.session, tap)))
        except CalrelayError as error:
            trouble = trouble_of(error)
            tap.answers.append((trouble.to_json(), lines_of(trouble)))
            exit_code = trouble.exit_code
        document, blocks = tap.answers[-1]
        self._output.say(
            *(_indented(block) for block in self._shortened(blocks)), f"  [exit code {exit_code}: {MEANINGS.get(exit_code, 'see --help')}]"
        )
        after = self._stage.messages()
        self.ran.append(
            Ran(occasion=occasion, typed=typed, started=started, exit_code=exit_code, document=document, before=before, after=after)
        )
        return self.ran[-1]

    def _shortened(self, blocks: Sequence[Block]) -> Iterator[Block]:
        """Cut long tables, and leave out what hardly changes from one command to the next once it was shown."""
        coming = iter(blocks)
        for block in coming:
            if block in ONCE and block in self._shown:
                next(coming, None)  # its table
                yield f"{block}: much as above, left out here"
            elif isinstance(block, str) or len(block.rows) <= LONGEST:
                yield block
            else:
                yield dataclasses.replace(block, rows=[*block.rows[:LEFT], (f"… {len(block.rows) - LEFT} more",)])
            if isinstance(block, str):
                self._shown.add(block)


def _indented(block: Block) -> Block:
    if isinstance(block, str):
        return f"  {block}" if block else ""
    return Table(rows=block.rows, columns=block.columns, indent=block.indent + 2)
