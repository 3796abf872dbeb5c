"""How `check`, `plan` and `status` warn of guests whom the source messages, too. Numbers only, and the command that tells more."""

from calrelay.domain.words import counted
from calrelay.engine.overlapping import Overlapping


def overlap_words(found: Overlapping, pipeline: str, *, when: str = "") -> tuple[str, str]:
    """Return the warning and its remedy; only where there is an overlap. `when` says which events, or how old the count is."""
    return f"{_what(found)}{f' ({when})' if when else ''}{_doubt(found)}", f"calrelay messages {pipeline}"


def _what(found: Overlapping) -> str:
    if found.guests:
        whom = f"{counted(found.guests, 'guest')} of {counted(found.events, 'event')}"
        return f"account {found.account} reminds {whom} by itself: with the target's reminders they hear of it twice"
    return f"{counted(found.uncounted, 'trigger')} of account {found.account} would mail guests, on top of the target's reminders"


def _doubt(found: Overlapping) -> str:
    if found.guests and not found.with_triggers:
        more = counted(found.uncounted, "trigger")
        return (
            f"; {more} that would mail guests, too, not counted yet"
            if found.uncounted
            else "; by built-in reminders alone, its triggers are not known"
        )
    return ""
