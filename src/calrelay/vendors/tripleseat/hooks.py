"""Tripleseat's webhooks: whether one is genuine, and which events it names. What it says of them is not believed (Tripleseat: 8)."""

import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from calrelay.domain.event import SourceId

SIGNATURE: Final = "x-signature"
TOLERANCE: Final = timedelta(minutes=5)  # ours: the page names none. A repeat is signed anew, so a sound one is seconds old
MOST_NAMED: Final = 200  # events of one booking that are believed to be meant; no body seen names more than a handful
_MOST_DIGITS: Final = 18


class TripleseatHook:
    """The webhooks of one account; implements `ports.Hook`."""

    vendor = "tripleseat"
    drops_repeats = True  # what was not answered with 200 comes up to five times more, the same body under a new `t`

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def may_speak(self, key: str, headers: Mapping[str, str]) -> bool:
        """Say whether there is a signature to check; the path has nothing behind the account."""
        return key == "" and SIGNATURE in headers

    def is_genuine(self, headers: Mapping[str, str], body: bytes, at: datetime) -> bool:
        """Check `t=<unix s>,v1=<hex>`: HMAC-SHA256 over `t`, a dot and the raw body; any one of several v1 will do."""
        stamp, given = _parts(headers.get(SIGNATURE, ""))
        if stamp is None or abs(at.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            return False
        wanted = hmac.new(self._secret, stamp.encode() + b"." + body, "sha256").hexdigest().encode()
        return any(hmac.compare_digest(wanted, one.encode()) for one in given)

    def names(self, body: bytes) -> frozenset[SourceId] | None:
        """Return the event, the events of the booking, or the event of the document that a body is about; of leads and rooms none."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, Mapping):
            return None
        return frozenset(list(_ids_in(said))[:MOST_NAMED])


def _parts(signature: str) -> tuple[str | None, list[str]]:
    """Take a signature apart, whatever the order of its parts; one without a single sound `t` has none."""
    pairs = [part.strip().partition("=") for part in signature.split(",")]
    stamps = {value for key, _, value in pairs if key == "t"}
    stamp = stamps.pop() if len(stamps) == 1 else ""
    is_sound = stamp.isascii() and stamp.isdigit() and len(stamp) <= _MOST_DIGITS
    return (stamp if is_sound else None), [value for key, _, value in pairs if key == "v1"]


def _ids_in(said: Mapping[str, Any]) -> Iterator[SourceId]:
    event, booking, document = (said.get(key) for key in ("event", "booking", "document_layout"))
    if isinstance(event, Mapping):
        yield from _to_ids(event.get("id"))
    if isinstance(booking, Mapping) and isinstance(several := booking.get("event_ids"), list):
        for one in several:
            yield from _to_ids(one)
    if isinstance(document, Mapping):
        yield from _to_ids(document.get("event_id"))


def _to_ids(value: object) -> Iterator[SourceId]:
    """Yield an id, which is a number or digits; anything else could be no event's, and would have to be asked for in vain."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        yield SourceId(text)
