import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from calrelay.errors import AuthFailed, RateLimited, RequestRejected, ResponseInvalid, VendorError, VendorUnavailable
from calrelay.http.failures import Failure
from calrelay.http.retry import Retry, Waits


class Script:
    """Answers with one outcome after the other, the last one for ever, and counts."""

    def __init__(self, outcomes: Iterable[Failure | str]) -> None:
        self.asked = 0
        self._outcomes: Iterator[Failure | str] = iter(outcomes)
        self._last: Failure | str = "never"

    async def __call__(self) -> Failure | str:
        self.asked += 1
        self._last = next(self._outcomes, self._last)
        return self._last


def down() -> Failure:
    return Failure.of(VendorUnavailable("down", account="venue", status=503))


def limited(seconds: float | None = None) -> Failure:
    return Failure.of(RateLimited("slower", retry_after=None if seconds is None else timedelta(seconds=seconds)))


async def test_a_success_is_asked_once(waits: Any) -> None:
    script = Script(["found"])
    assert await waits.retry()(script, idempotent=True) == "found"
    assert (script.asked, waits.waited) == (1, [])


async def test_a_failure_that_passes_is_asked_again(waits: Any) -> None:
    script = Script([down(), limited(), "found"])
    assert await waits.retry()(script, idempotent=True) == "found"
    assert waits.waited == [1, 2]


async def test_five_attempts_are_the_most(waits: Any) -> None:
    script = Script([down()])
    with pytest.raises(VendorUnavailable):
        await waits.retry()(script, idempotent=True)
    assert (script.asked, waits.waited) == (5, [1, 2, 4, 8])


async def test_what_is_not_idempotent_is_asked_once(waits: Any) -> None:
    script = Script([down(), "found"])
    with pytest.raises(VendorUnavailable):
        await waits.retry()(script, idempotent=False)
    assert script.asked == 1


@pytest.mark.parametrize("error", [AuthFailed("no"), RequestRejected("no"), ResponseInvalid("no")])
async def test_what_does_not_pass_by_itself_is_asked_once(waits: Any, error: VendorError) -> None:
    script = Script([Failure.of(error)])
    with pytest.raises(type(error)):
        await waits.retry()(script, idempotent=True)
    assert script.asked == 1


async def test_an_invalid_answer_is_asked_again_where_the_caller_says_so(waits: Any) -> None:
    script = Script([Failure(error=ResponseInvalid("empty"), passes=True), "found"])
    assert await waits.retry()(script, idempotent=True) == "found"


async def test_retry_after_is_obeyed_to_the_second(waits: Any) -> None:
    script = Script([limited(17), "found"])
    assert await waits.retry(jitter=lambda: 1.0)(script, idempotent=True) == "found"
    assert waits.waited == [17]


async def test_retry_after_beyond_the_budget_is_told_at_once(waits: Any) -> None:
    """Whoever asked learns how long it would take, instead of waiting in vain."""
    script = Script([limited(3600)])
    with pytest.raises(RateLimited) as caught:
        await waits.retry()(script, idempotent=True)
    assert (script.asked, waits.waited, caught.value.retry_after) == (1, [], timedelta(hours=1))


async def test_no_attempt_begins_after_sixty_seconds(waits: Any) -> None:
    script = Script([limited(25)])
    with pytest.raises(RateLimited):
        await waits.retry()(script, idempotent=True)
    assert waits.waited == [25, 25]
    assert waits.now <= 60


async def test_a_slow_attempt_uses_up_the_budget_but_is_not_cut_short(waits: Any) -> None:
    """Apptoto may take four minutes; what it applied would be unknown."""

    async def slow() -> Failure:
        waits.now += 240
        return down()

    with pytest.raises(VendorUnavailable):
        await waits.retry()(slow, idempotent=True)
    assert waits.waited == []


async def test_waits_grow_to_fifteen_seconds_at_most(waits: Any) -> None:
    script = Script([limited()])
    with pytest.raises(RateLimited):
        await waits.retry(attempts=8, budget=1000, jitter=lambda: 1.0)(script, idempotent=True)
    assert waits.waited == [1.25, 2.5, 5, 10, 15, 15, 15]


async def test_the_default_spreads_the_waits(waits: Any) -> None:
    firsts = set()
    for _ in range(20):
        waits.waited.clear()
        waits.now = 0.0
        await Retry(wait=waits.wait, clock=waits.clock)(Script([down(), "found"]), idempotent=True)
        firsts.update(waits.waited)
    assert len(firsts) > 1
    assert all(1 <= wait <= 1.25 for wait in firsts)


async def test_the_error_carries_nothing_foreign(waits: Any) -> None:
    """A traceback in a log prints causes and contexts too."""
    with pytest.raises(VendorUnavailable) as caught:
        await waits.retry(attempts=2)(Script([down()]), idempotent=True)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_bug_is_not_repeated(waits: Any) -> None:
    asked = 0

    async def broken() -> str:
        nonlocal asked
        asked += 1
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await waits.retry()(broken, idempotent=True)
    assert asked == 1


async def test_a_wait_ends_at_once_when_nothing_is_to_be_asked_any_more() -> None:
    together, script = Waits(), Script([limited(3600)])
    asking = asyncio.create_task(Retry(budget=7200, waits=together)(script, idempotent=True))
    await asyncio.sleep(0)
    together.end()
    with pytest.raises(RateLimited):
        await asyncio.wait_for(asking, 5)
    assert script.asked == 1


async def test_after_the_end_of_all_waits_each_request_is_asked_once() -> None:
    together, script = Waits(), Script([down()])
    together.end()
    with pytest.raises(VendorUnavailable):
        await Retry(waits=together)(script, idempotent=True)
    assert script.asked == 1


@pytest.mark.parametrize(
    ("before", "is_open"), [((), False), ((limited(),), False), ((limited(), down()), True), ((down(), limited()), True)]
)
async def test_a_refusal_says_whether_an_earlier_try_was_left_open(waits: Any, before: tuple[Failure, ...], is_open: bool) -> None:
    refused = Failure.of(RequestRejected("no", status=400))
    with pytest.raises(RequestRejected) as caught:
        await waits.retry()(Script([*before, refused]), idempotent=True)
    assert caught.value.is_open is is_open


async def test_giving_up_after_a_429_says_whether_an_earlier_try_was_left_open(waits: Any) -> None:
    with pytest.raises(RateLimited) as caught:
        await waits.retry()(Script([down(), limited()]), idempotent=True)
    assert caught.value.is_open
    with pytest.raises(RateLimited) as caught:
        await waits.retry()(Script([limited()]), idempotent=True)
    assert not caught.value.is_open
