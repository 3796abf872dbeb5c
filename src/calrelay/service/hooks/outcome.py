"""What may become of a webhook, in the words of the metrics, and how it is answered."""

from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """What became of one webhook."""

    ACCEPTED = "accepted"
    COALESCED = "coalesced"  # names only events that wait to be read already
    REPEATED = "repeated"
    IRRELEVANT = "irrelevant"  # genuine, and about no event: a lead, a room
    UNREADABLE = "unreadable"  # genuine, and no JSON
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ACCOUNT = "unknown_account"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    CUT_OFF = "cut_off"
    TOO_MANY = "too_many"

    @property
    def status(self) -> int:
        """How it is answered.

        A genuine one is answered with 200 even where nothing can be made of it: a vendor that is refused sends the same again, and switches
        the webhook off in the end (Tripleseat: 8, delivery).
        """
        return _STATUSES.get(self, 200)


_STATUSES = {
    Outcome.BAD_SIGNATURE: 401,
    Outcome.UNKNOWN_ACCOUNT: 404,
    Outcome.TOO_LARGE: 413,
    Outcome.TOO_SLOW: 408,
    Outcome.CUT_OFF: 400,
    Outcome.TOO_MANY: 503,
}


class Counts(Protocol):
    """Who counts webhooks: the metrics."""

    def note_webhook(self, account: str, outcome: str, *, count: int = 1) -> None:
        """Count webhooks; the account of one that named none of ours is empty."""

    def note_webhook_lag(self, account: str, seconds: float) -> None:
        """Note how long it took from a webhook to the end of the pass that looked at its event."""
