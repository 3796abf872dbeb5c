"""Which webhooks are genuine, and which events their bodies name."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.simulators.tripleseat.webhooks import sign
from calrelay.vendors.timetap.hooks import TimeTapHook
from calrelay.vendors.tripleseat.hooks import MOST_NAMED, TOLERANCE, TripleseatHook

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
T = int(NOW.timestamp())
KEY = "a-signing-key"
BODY = b'{"webhook_trigger_type": "UPDATE_EVENT", "event": {"id": 61234567}}'
HOOK = TripleseatHook(KEY)


def is_genuine(signature: str, body: bytes = BODY, at: datetime = NOW) -> bool:
    return HOOK.is_genuine({"x-signature": signature}, body, at)


def digest(t: int | str = T, body: bytes = BODY, key: str = KEY) -> str:
    return hmac.new(key.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("body", [BODY, b"", '{"event": {"id": 1, "name": "Dîner — 晚餐 🎉"}}'.encode(), b"\xff\x00not text", b" {} \n"])
def test_a_sound_signature_is_one_over_the_raw_bytes(body: bytes) -> None:
    assert is_genuine(sign(body, KEY, T), body)
    assert not is_genuine(sign(body, KEY, T), body + b" ")


@pytest.mark.parametrize(
    "signature",
    [
        f"t={T},v1={digest()}",
        f"v1={digest()},t={T}",
        f"t={T}, v1={digest()}",
        f"t={T},v1={'0' * 64},v1={digest()}",
        f"t={T},v1={digest()},v1={'0' * 64}",
        f"t={T},v0=old,v1={digest()},v2=new",
        f"t={T}," + ",".join(["v1=" + "0" * 64] * 50) + f",v1={digest()}",
    ],
)
def test_parts_may_come_in_any_order_and_any_of_several_v1_will_do(signature: str) -> None:
    assert is_genuine(signature)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=,v1=",
        f"t={T}",
        f"v1={digest()}",
        f"t={T},v1=",
        f"t={T},v1={digest(key='another')}",
        f"t={T},v1={digest(T + 1)}",
        f"t={T + 1},v1={digest()}",
        f"t={T},v0={digest()}",
        f"t={T},v1={digest().upper()}",
        f"t={T},v1={digest()[:-1]}",
        f"t={T},v1=é{digest()[1:]}",
        f"t={T},t={T + 1},v1={digest()}",
        f"t=-{T},v1={digest(f'-{T}')}",
        f"t={T}.0,v1={digest(f'{T}.0')}",
        f"t=٣,v1={digest('٣')}",
        f"t={'9' * 400},v1={digest('9' * 400)}",
        hmac.new(KEY.encode(), BODY, hashlib.sha256).hexdigest(),
    ],
)
def test_anything_else_is_not_genuine(signature: str) -> None:
    assert not is_genuine(signature)


@pytest.mark.parametrize(("off", "expected"), [(TOLERANCE, True), (-TOLERANCE, True), (TOLERANCE + timedelta(seconds=2), False)])
def test_a_signature_of_another_time_is_a_replay(off: timedelta, expected: bool) -> None:
    assert is_genuine(sign(BODY, KEY, T), at=NOW + off) is expected


def test_without_a_signature_the_body_is_not_worth_reading() -> None:
    assert HOOK.may_speak("", {"x-signature": "t=1"})
    assert not HOOK.may_speak("", {"x-tripleseat-signature": "t=1"})
    assert not HOOK.may_speak("more/path", {"x-signature": "t=1"})


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({"event": {"id": 61234567, "name": "Alder Team Dinner"}}, {"61234567"}),
        ({"event": {"id": "61234567"}}, {"61234567"}),
        ({"event": {"id": 1}, "booking": {"event_ids": [1, 2]}}, {"1", "2"}),
        ({"booking": {"id": 4400001, "event_ids": [61234567, 61234568]}}, {"61234567", "61234568"}),
        ({"document_layout": {"id": 5, "event_id": 61234567}}, {"61234567"}),
        ({"lead": {"id": 6600001}}, set()),
        ({"event": None, "booking": {}}, set()),
        ({"event": {"id": None}}, set()),
        ({"event": {"id": True}}, set()),
        ({"event": {"id": "../../sites"}}, set()),
        ({"event": {"id": -4}}, set()),
        ({"event": {"id": 10**40}}, set()),
        ({"event": [1, 2]}, set()),
        ({"booking": {"event_ids": list(range(5_000))}}, {str(number) for number in range(MOST_NAMED)}),
    ],
)
def test_a_tripleseat_body_names_events_and_nothing_else(said: object, ids: set[str]) -> None:
    assert HOOK.names(json.dumps(said).encode()) == frozenset(map(SourceId, ids))


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({"calendarId": 7100001}, {"7100001"}),
        ({"calendarid": 7100001, "createddate": "2026-11-21"}, {"7100001"}),
        ({"calendarid": None, "calendarId": "7100001"}, {"7100001"}),
        ({"client": {"clientId": 1}}, set()),
        ({"calendarId": "7100001/cancel/true/true"}, set()),
        ({"calendarId": [7100001]}, set()),
    ],
)
def test_a_timetap_body_names_its_appointment_in_either_spelling(said: object, ids: set[str]) -> None:
    assert TimeTapHook("a-path-secret").names(json.dumps(said).encode()) == frozenset(map(SourceId, ids))


@pytest.mark.parametrize("body", [b"", b"event=1", b"[1, 2]", b'"text"', b'{"event": {"id": 1', b"[" * 100_000, b"\xff\xfe", b"9" * 5_000])
def test_a_body_that_is_no_object_cannot_be_read(body: bytes) -> None:
    assert HOOK.names(body) is None
    assert TimeTapHook("a-path-secret").names(body) is None


def test_only_the_whole_path_secret_lets_a_timetap_body_in() -> None:
    hook = TimeTapHook("a-path-secret-é")
    assert hook.may_speak("a-path-secret-é", {})
    assert not any(hook.may_speak(key, {}) for key in ("", "a-path-secret", "a-path-secret-é/", "A-path-secret-é"))


def test_hooks_show_no_secret() -> None:
    assert not [hook for hook in (TripleseatHook("topsecret"), TimeTapHook("topsecret")) if "topsecret" in repr(hook)]
