"""Which coming events are left alone because somebody decided so: as `status`, `ignore --list` and the page tell it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from calrelay.domain.link import HANDS_OFF, REJECTED, Link, State
from calrelay.ports import Ledger
from calrelay.state.history import KEPT_FOR


class Cause(StrEnum):
    """By which decision."""

    REJECTED = "rejected"  # until its row changes at the source
    DROPPED = "dropped"  # from quarantine, until its row changes
    IGNORED = "ignored"  # for good
    LET_GO = "let_go"  # for good: what a changed filter or route affected was rejected


def cause_of(link: Link) -> Cause:
    """Say by which decision an event is left alone."""
    if link.state is State.RELEASED:
        return Cause.LET_GO
    if not link.until_changed:
        return Cause.IGNORED
    return Cause.REJECTED if link.reason.startswith(REJECTED) else Cause.DROPPED


def left_alone(ledger: Ledger, pipeline: str, now: datetime) -> list[Link]:
    """Return the events of a pipeline that are left alone and have not ended, soonest first."""
    return [link for link in ledger.links_in(pipeline, HANDS_OFF) if _was_decided(link) and _is_coming(link, now)]


def why(cause: Cause) -> str:
    """Say in words by which decision, and for how long."""
    match cause:
        case Cause.REJECTED:
            return "rejected, until the row changes at the source; where it was to be deleted, for as long as the same would delete it"
        case Cause.DROPPED:
            return "dropped from quarantine, until the row changes at the source"
        case Cause.IGNORED:
            return "ignored"
        case Cause.LET_GO:
            return "let go for good, when what a changed filter or route affects was rejected"


def counted_by_cause(links: Iterable[Link]) -> Mapping[Cause, int]:
    """Count events by the decision that leaves them alone."""
    return Counter(map(cause_of, links))


def _was_decided(link: Link) -> bool:
    return link.state is State.IGNORED or link.reason == REJECTED


def _is_coming(link: Link, now: datetime) -> bool:
    """Say whether an event has not ended; of one that could never be mapped nobody knows, so it is believed for as long as history is."""
    known = [imprint.end for imprint in (link.wanted, link.accepted) if imprint is not None]
    if not known:
        return link.since is None or now - link.since < KEPT_FOR
    return max(known) > now
