"""TimeTap's webhooks: whether one came to the secret address, and which appointment it names. What it says is not believed (TimeTap: 8)."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from calrelay.domain.event import SourceId
from calrelay.vendors.timetap.wire import fold_keys

_MOST_DIGITS: Final = 18


class TimeTapHook:
    """The webhooks of one account; implements `ports.Hook`. Nothing is signed: whoever knows the path is TimeTap."""

    vendor = "timetap"
    drops_repeats = False  # no repeats are documented, and the same appointment may be sent twice with two changes between

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def may_speak(self, key: str, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - nothing is signed
        """Compare the path's secret, in constant time."""
        return hmac.compare_digest(key.encode(), self._secret)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, at: datetime) -> bool:  # noqa: ARG002 - see `may_speak`
        """Believe whoever knew the path."""
        return True

    def names(self, body: bytes) -> frozenset[SourceId] | None:
        """Return the appointment of a body, in either spelling of its id; a deletion looks like any other body."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, Mapping):
            return None
        found = fold_keys(said).get("calendarid")
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        is_id = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        return frozenset({SourceId(text)}) if is_id else frozenset()
