"""How the demo ends: what calrelay changed, whom that could have messaged, what waits, what to type next. Every number was counted."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calrelay.cli.demo_stage import Stage
from calrelay.cli.demo_voice import Ran
from calrelay.cli.output import Block, Table
from calrelay.domain.words import counted, iso
from calrelay.ports import Hold

PLAN, SYNC, LOAD = "calrelay plan", "calrelay sync", "calrelay backfill"
PEOPLE = ("person", "people")
AHEAD = ("reminder or follow-up", "reminders and follow-ups")
SHOWN = 10
_COUNTERS = ("created", "updated", "deleted")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A command that may have written, with the people calrelay's plan before it counted, and those Apptoto messaged at once."""

    ran: Ran
    planned: int
    messages: int
    messaged: int

    @property
    def is_refused(self) -> bool:
        """Whether a guard stopped all of it."""
        return bool(self.ran.passes) and all(one["outcome"] == "refused" for one in self.ran.passes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is left when the story has been told."""

    ran: Sequence[Ran]
    stage: Stage
    holds: Sequence[Hold]
    seconds: float

    @property
    def written(self) -> list[Written]:
        """The commands that may write, in order."""
        return list(_written(self))

    def total(self, counter: str) -> int:
        """Add up what the target accepted, over the whole story."""
        return sum(one.ran.total(counter) for one in self.written)

    def apptoto(self) -> dict[str, int]:
        """Count at Apptoto itself, which knows nothing of our reports."""
        events, mailbag = self.stage.world.apptoto.events, self.stage.messages()
        everything = events.all_events()
        return {
            "created": len(everything),
            "deleted": sum(event.is_deleted for event in everything),
            "held": len(events.live_events()),
            "doubled": len(events.duplicates()),
            "messages_sent": len(mailbag.sent),
            "people_messaged": len(self.stage.people_of(mailbag.sent)),
            "messages_ahead": len(mailbag.scheduled),
            "people_ahead": len(self.stage.people_of(mailbag.scheduled)),
        }

    def decisions(self) -> list[tuple[str, str]]:
        """Name what an operator could type now, for each hold."""
        return [
            row
            for hold in self.holds
            for row in (
                (f"calrelay approve {hold.id}", "if it is right: the next pass does it"),
                (f"calrelay reject {hold.id}", "if it is wrong: Apptoto keeps what it has until these events change again"),
            )
        ]


def document_of(ending: Ending) -> dict[str, Any]:
    """Return the ending as one JSON document."""
    return {
        "commands": [
            {
                "occasion": ran.occasion,
                "typed": ran.typed,
                "exit_code": ran.exit_code,
                "passes": [_without_actions(one) for one in ran.passes],
            }
            for ran in ending.ran
        ],
        "changed": {counter: ending.total(counter) for counter in _COUNTERS},
        "people": [
            {
                "occasion": one.ran.occasion,
                "typed": one.ran.typed,
                "could_be_messaged": one.planned,
                "messages_sent": one.messages,
                "people_messaged": one.messaged,
            }
            for one in ending.written
        ],
        "apptoto": ending.apptoto(),
        "waiting": [_hold_to_json(hold) for hold in ending.holds],
        "next": ["calrelay holds", *(typed for typed, _ in ending.decisions())],
        "seconds": round(ending.seconds, 1),
    }


def describe(ending: Ending) -> list[Block]:
    """Tell the ending."""
    return ["", "", "In short", "────────", *_changed(ending), *_messaged(ending), *_waiting(ending), *_next(ending)]


def _changed(ending: Ending) -> list[Block]:
    apptoto = ending.apptoto()
    rows = [(*_name(one), *(str(one.ran.total(c)) for c in _COUNTERS), str(one.ran.exit_code)) for one in ending.written]
    total = ("", "in all", *(str(ending.total(c)) for c in _COUNTERS), "")
    twice = apptoto["doubled"] or "none"
    return [
        "What did calrelay change at Apptoto?",
        "",
        Table(columns=("when", "command", *_COUNTERS, "exit code"), rows=[*rows, total], indent=2),
        "",
        f"  Apptoto itself counts {apptoto['created']} created, {apptoto['deleted']} deleted, {apptoto['held']} held; {twice} twice.",
    ]


def _messaged(ending: Ending) -> list[Block]:
    apptoto = ending.apptoto()
    rows = [(*_name(one), counted(one.planned, *PEOPLE), _sent(one)) for one in ending.written if one.planned or one.messages]
    ahead = counted(apptoto["messages_ahead"], *AHEAD)
    return [
        "",
        "Whom could that have messaged?",
        "",
        Table(columns=("when", "command", "calrelay's plan counted", "Apptoto sent at once"), rows=rows, indent=2),
        "",
        *_letters(ending),
        f"  Ahead, as wanted: {ahead} to {counted(apptoto['people_ahead'], *PEOPLE)}.",
    ]


def _letters(ending: Ending) -> list[Block]:
    """Name everybody who was messaged: the guests are made up."""
    sent = ending.stage.messages().sent
    find = ending.stage.world.apptoto.events.by_id
    rows = [(message.name, message.channel.value, event.title if (event := find(message.event_id)) else "") for message in sent[:SHOWN]]
    more = [f"    … {len(sent) - SHOWN} more"] if len(sent) > SHOWN else []
    return ["  Messages sent in all:", Table(rows=rows, indent=4), *more] if rows else ["  No message was sent at all."]


def _waiting(ending: Ending) -> list[Block]:
    rows = [(hold.pipeline, hold.words) for hold in ending.holds]
    return ["", "What is it waiting for?", "", "  For your decision. Until then Apptoto keeps what it has:", Table(rows=rows, indent=2)]


def _next(ending: Ending) -> list[Block]:
    return [
        "",
        "What would I type next?",
        "",
        Table(rows=[("calrelay holds", "what is parked, event by event"), *ending.decisions()], indent=2),
        "",
        "  Or nothing: here both are mistakes at the source. Once they are mended there, the next pass finds nothing to hold.",
        "",
        f"This took {ending.seconds:.0f} s, and the demo's accounts are gone again. To type these commands yourself, without accounts:",
        "",
        Table(
            rows=[
                (". .venv/bin/activate", "where calrelay was installed by make"),
                ("calrelay simulate", "in one terminal"),
                ("calrelay init --simulate", "in another, then check, plan, backfill, run"),
                ("calrelay init", "begins with your own accounts"),
            ],
            indent=2,
        ),
    ]


def _name(one: Written) -> tuple[str, str]:
    """Say when, and the command without its options."""
    return one.ran.occasion, one.ran.typed.partition(" --")[0]


def _sent(one: Written) -> str:
    if one.messages:
        return f"{counted(one.messages, 'message')} to {counted(one.messaged, *PEOPLE)}"
    if one.is_refused:
        return "nothing: it was refused"
    return "nothing: marked #nobooking" if one.ran.typed.endswith("--messages no-booking") else "nothing"


def _written(ending: Ending) -> Iterator[Written]:
    """Pair each command that may write with the plan before it; without one since the last write, nothing was to be sent."""
    planned: dict[str, int] = {}
    for ran in ending.ran:
        names = [str(one["pipeline"]) for one in ran.passes]
        if ran.typed.startswith(PLAN):
            planned |= {str(one["pipeline"]): int(one["people"]) for one in ran.passes}
        elif ran.typed.startswith((SYNC, LOAD)):
            sent = ran.after.since(ran.before)
            people = sum(planned.get(name, 0) for name in names)
            yield Written(ran=ran, planned=people, messages=len(sent), messaged=len(ending.stage.people_of(sent)))
            has_written = ran.total("created") + ran.total("updated") > 0
            planned = {name: 0 if has_written and name in names else number for name, number in planned.items()}


def _without_actions(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != "actions"}


def _hold_to_json(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "pipeline": hold.pipeline,
        "kind": hold.kind.value,
        "words": hold.words,
        "events": len(hold.items),
        "people": hold.people,
        "earliest": iso(hold.earliest),
    }
