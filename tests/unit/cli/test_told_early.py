"""What a command waits for is said before it waits."""

from calrelay.cli.passes import run_passes
from calrelay.engine.order import Order
from calrelay.engine.report import PassReport
from tests.fakes.memory_source import an_event
from tests.fakes.pipelines import a_bench
from tests.unit.cli.test_cli_passes import Benches


class Told:
    """A progress that notes what was being done, and how much was finished by then."""

    def __init__(self, reports: list[PassReport]) -> None:
        self._reports = reports
        self.said: list[tuple[int, str]] = []

    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:
        """Note nothing."""

    def glance(self, what: str) -> None:
        self.said.append((len(self._reports), what.partition(";")[0]))


async def test_before_each_pass_it_is_said_which_account_is_read() -> None:
    reports: list[PassReport] = []
    told = Told(reports)
    relay = Benches(benches={"venue": a_bench(an_event(1)), "terrace": a_bench(an_event(2))})
    await run_passes(relay, Order(command="sync"), reports, told)
    account = relay.benches["venue"].source.account
    assert told.said == [(0, f"venue: reading account {account}"), (1, f"terrace: reading account {account}")]
