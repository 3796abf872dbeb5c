"""When a burst is handed on, and which repeats are remembered."""

import asyncio
from collections.abc import Mapping

import pytest

from calrelay.domain.event import SourceId
from calrelay.service.hooks import repeats as remembering
from calrelay.service.hooks.bursts import LONGEST, MOST, QUIET, Bursts, Named
from calrelay.service.hooks.repeats import LASTS, Repeats
from tests.fakes.virtual_time import VirtualTimeLoop


def ids(*numbers: int) -> list[SourceId]:
    return [SourceId(str(number)) for number in numbers]


class Burst:
    """Bursts in a loop where waiting costs nothing, and when each was handed on."""

    def __init__(self) -> None:
        self.handed_on: list[tuple[float, str, int]] = []
        self.bursts = Bursts(self._hand_on)

    def _hand_on(self, account: str, named: Mapping[SourceId, Named]) -> None:
        self.handed_on.append((round(asyncio.get_running_loop().time(), 2), account, len(named)))

    def play(self, *webhooks: tuple[float, str, list[SourceId]], until: float = 10) -> list[tuple[float, str, int]]:
        """Let webhooks come at these times, and return what was handed on."""
        loop = VirtualTimeLoop()

        async def scene() -> None:
            for at, account, named in webhooks:
                loop.call_at(at, self.bursts.add, account, named)
            await asyncio.sleep(until)

        loop.run(scene())
        loop.end()
        return self.handed_on


def test_a_burst_ends_when_it_is_quiet() -> None:
    assert Burst().play((0, "venue", ids(1)), (0.1, "venue", ids(1, 2)), (0.2, "venue", ids(3))) == [(0.2 + QUIET, "venue", 3)]


def test_one_that_does_not_end_is_handed_on_all_the_same() -> None:
    told = Burst().play(*((number / 10, "venue", ids(number)) for number in range(25)))
    assert [at for at, _, _ in told[:2]] == [LONGEST, pytest.approx(2 * LONGEST + 0.1, abs=0.02)]
    assert sum(number for _, _, number in told) == 25


def test_accounts_do_not_wait_for_each_other() -> None:
    assert Burst().play((0, "venue", ids(1)), (0.2, "studio", ids(1))) == [(QUIET, "venue", 1), (0.2 + QUIET, "studio", 1)]


def test_a_burst_does_not_grow_without_end() -> None:
    assert Burst().play((0, "venue", ids(*range(MOST + 1)))) == [(0.0, "venue", MOST + 1)]


def test_repeats_are_forgotten_in_time_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST", 3)
    repeats = Repeats()
    assert [repeats.take("venue", ids(1), b"a", at) for at in (0, LASTS, 2 * LASTS + 1)] == [False, True, False]
    for number in range(2, 5):
        repeats.take("venue", ids(number), b"a", 2 * LASTS + 1)
    assert len(repeats) == 3
    assert not repeats.take("venue", ids(1), b"a", 2 * LASTS + 1)


def test_the_same_body_for_another_account_is_no_repeat() -> None:
    repeats = Repeats()
    assert [repeats.take(account, ids(1), b"a", 0) for account in ("venue", "west", "venue")] == [False, False, True]
