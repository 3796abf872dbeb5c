"""How webhooks are answered, and which of them are passed on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import httpx
import pytest
from structlog.testing import capture_logs

from calrelay.domain.event import SourceId
from calrelay.ports import Hook
from calrelay.service.hooks import receiver as receiving
from calrelay.service.hooks.bursts import Bursts, Named
from calrelay.service.hooks.receiver import MOST_BYTES, Receiver
from calrelay.simulators.tripleseat.webhooks import sign
from calrelay.vendors.timetap.hooks import TimeTapHook
from calrelay.vendors.tripleseat.hooks import TripleseatHook

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
T = int(NOW.timestamp())
KEY, SECRET = "a-signing-key", "a-long-path-secret"
BODY = b'{"event": {"id": 61234567}}'
APPOINTMENT = b'{"calendarid": 7100001}'
VENUE, STUDIO = "/hooks/tripleseat/venue", f"/hooks/timetap/studio/{SECRET}"


class Post:
    """A receiver, and what came of what was posted to it."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []
        self.handed_on: list[tuple[str, set[SourceId]]] = []
        self.bursts = Bursts(self._hand_on)
        hooks: Mapping[str, Hook] = {"venue": TripleseatHook(KEY), "studio": TimeTapHook(SECRET), "acme/studio": TimeTapHook(SECRET)}
        self.app = Receiver(lambda: hooks, self.bursts, self, clock=lambda: NOW).app()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="https://hooks.example.com")

    def _hand_on(self, account: str, named: Mapping[SourceId, Named]) -> None:
        self.handed_on.append((account, set(named)))

    def note_webhook(self, account: str, outcome: str, *, count: int = 1) -> None:
        """Count a webhook."""
        self.counted += [(account, outcome)] * count

    def note_webhook_lag(self, account: str, seconds: float) -> None:
        """Nothing is read here."""

    async def signed(self, body: bytes = BODY, *, key: str = KEY, t: int = T) -> int:
        """Post as Tripleseat does."""
        return (await self.client.post(VENUE, content=body, headers={"x-signature": sign(body, key, t)})).status_code

    async def post(self, path: str, body: bytes = APPOINTMENT, **headers: str) -> int:
        """Post anything anywhere."""
        return (await self.client.post(path, content=body, headers=headers)).status_code

    def passed_on(self) -> list[tuple[str, set[SourceId]]]:
        """Return what a burst would hand on now."""
        self.bursts.close()
        return self.handed_on


async def test_a_genuine_webhook_is_answered_with_200_and_its_event_passed_on() -> None:
    post = Post()
    assert (await post.signed(), await post.post(STUDIO)) == (200, 200)
    assert post.counted == [("venue", "accepted"), ("studio", "accepted")]
    assert post.passed_on() == [("venue", {"61234567"}), ("studio", {"7100001"})]


async def test_a_bad_signature_is_401_and_nothing_is_passed_on() -> None:
    post = Post()
    assert [await post.signed(key="another"), await post.signed(t=T - 3600), await post.post(VENUE, BODY)] == [401] * 3
    assert [await post.post(f"/hooks/timetap/studio{rest}") for rest in ("", "/", "/wrong", f"/{SECRET}/", f"/x{SECRET}")] == [401] * 5
    assert set(post.counted) == {("venue", "bad_signature"), ("studio", "bad_signature")}
    assert post.passed_on() == []


@pytest.mark.parametrize(
    "path", ["/hooks/tripleseat/nobody", f"/hooks/timetap/venue/{SECRET}", "/hooks/tripleseat/studio", "/hooks/apptoto/x"]
)
async def test_an_account_that_receives_none_of_this_vendor_is_404(path: str) -> None:
    post = Post()
    assert await post.post(path, BODY, **{"x-signature": sign(BODY, KEY, T)}) == 404
    assert post.counted == [("", "unknown_account")]  # what a stranger wrote becomes no label


async def test_an_account_of_a_tenant_receives_at_its_own_address() -> None:
    post = Post()
    assert [await post.post(f"/hooks/timetap/acme/studio{rest}") for rest in (f"/{SECRET}", "", "/wrong")] == [200, 401, 401]
    assert await post.post(f"/hooks/timetap/acme/other/{SECRET}") == 404
    assert post.passed_on() == [("acme/studio", {"7100001"})]


async def test_other_paths_are_404_and_other_methods_405() -> None:
    post = Post()
    assert [await post.post(path) for path in ("/", "/hooks", "/hooks/tripleseat", "/metrics")] == [404] * 4
    assert [(await post.client.request(method, VENUE)).status_code for method in ("GET", "PUT", "DELETE")] == [405] * 3
    assert (await post.client.get(STUDIO)).status_code == 405


async def test_a_body_over_a_mebibyte_is_413_whether_it_is_announced_or_not() -> None:
    post = Post()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    assert await post.signed(b" " * (MOST_BYTES + 1)) == 413
    answer = await post.client.post(VENUE, content=endless(), headers={"x-signature": sign(BODY, KEY, T)})
    assert (answer.status_code, answer.headers["connection"], sent <= 18) == (413, "close", True)
    assert post.counted == [("venue", "too_large")] * 2
    assert await post.signed(b" " * MOST_BYTES) == 200  # genuine, though it says nothing


async def test_a_sound_body_of_which_nothing_can_be_made_is_answered_well_so_that_it_does_not_come_again() -> None:
    post = Post()
    assert [await post.signed(b"no json"), await post.signed(b""), await post.post(STUDIO, b"{")] == [200] * 3
    assert await post.signed(b'{"lead": {"id": 1}}') == 200
    assert [outcome for _, outcome in post.counted] == ["unreadable", "unreadable", "unreadable", "irrelevant"]
    assert post.passed_on() == []


async def test_a_repeat_is_dropped_though_it_is_signed_anew() -> None:
    post = Post()
    assert [await post.signed(t=T + second) for second in range(3)] == [200] * 3
    assert [outcome for _, outcome in post.counted] == ["accepted", "repeated", "repeated"]


async def test_a_body_that_comes_again_after_another_about_the_event_is_news() -> None:
    """40 guests, 44, and 40 again within a minute: the third body is the first one, and it is the truth."""
    post = Post()
    bodies = [b'{"event": {"id": 1, "guest_count": %d}}' % count for count in (40, 44, 40)]
    for body in bodies:
        await post.signed(body)
        post.bursts.close()
    assert [outcome for _, outcome in post.counted] == ["accepted"] * 3


async def test_timetap_may_say_the_same_twice() -> None:
    post = Post()
    for _ in range(2):
        await post.post(STUDIO)
        post.bursts.close()
    assert [outcome for _, outcome in post.counted] == ["accepted"] * 2


async def test_webhooks_about_an_event_that_waits_already_are_coalesced() -> None:
    post = Post()
    for count in range(3):
        await post.signed(b'{"event": {"id": 1, "guest_count": %d}}' % count)
    assert [outcome for _, outcome in post.counted] == ["accepted", "coalesced", "coalesced"]
    assert post.passed_on() == [("venue", {"1"})]


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "PATIENCE", 0.01)
    post = Post()

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await post.client.post(STUDIO, content=never())
    assert (answer.status_code, post.counted) == (408, [("studio", "too_slow")])


async def test_only_so_many_bodies_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "AT_ONCE", 1)
    post, reached, going_on = Post(), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        reached.set()
        await going_on.wait()
        yield APPOINTMENT

    first = asyncio.create_task(post.client.post(STUDIO, content=slow()))
    await asyncio.wait_for(reached.wait(), 5)
    assert await post.post(STUDIO) == 503
    going_on.set()
    assert (await first).status_code == 200


async def test_the_secret_and_the_body_are_in_no_log_and_a_stranger_is_told_of_once() -> None:
    post = Post()
    with capture_logs() as lines:
        for _ in range(5):
            await post.post("/hooks/timetap/studio/guessed", b'{"client": {"fullName": "Ada Bell"}}')
            await post.post(STUDIO)
    assert [line["event"] for line in lines] == ["webhook refused: not signed with our secret", "webhooks arrive"]
    assert not [word for word in (SECRET, "guessed", "Ada Bell") if word in str(lines)]
