"""Our plan against a naive second implementation, over random histories of one event: edits, decisions, refusals, lost answers."""

import dataclasses
import os
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calrelay.domain.entry import Hasher
from calrelay.domain.event import Event
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Basis, CalendarId, Field, Link, MessageMode, State, TargetId
from calrelay.domain.plan import Action, Cause, Create, Decision, Delete, Skipped, Unchanged, Update, plan, plan_gone
from calrelay.domain.policy import Filter, Match, Policy, Route
from calrelay.domain.rendering import TITLE, Texts
from calrelay.domain.window import Window
from calrelay.engine.decisions import rejected_link
from calrelay.engine.holds import DELETE, item_of
from calrelay.engine.unanswered import resolve
from calrelay.ports import Holding
from tests.fakes.memory_source import NOW, a_guest, an_event, moved, with_status
from tests.properties.naive_plan import Memory, Opinion, Wishes, judge

SOAK = int(os.environ.get("CALRELAY_SOAK_EXAMPLES", "0"))
HASHER = Hasher(b"a key of this test")
HALL, TERRACE = CalendarId("1"), CalendarId("2")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TARGET_ID = TargetId("900000001")

AT_THE_SOURCE: dict[str, list[Any]] = {
    "status": ["DEFINITE", "DEFINITE", "LOST", "TENTATIVE", "NO_SHOW", "A_NEW_WORD", "CLOSED"],
    "move": [HOUR, -HOUR, 3 * DAY, -30 * DAY, 30 * DAY],
    "rename": ["Dinner", "Supper"],
    "guest": [1, 2, None],
    "count": ["40", "50"],
    "room": ["main hall", "terrace"],
    "gone": [True, False],
}
IN_THE_CONFIG: dict[str, list[Any]] = {
    "statuses": [frozenset({"DEFINITE", "CLOSED"}), frozenset({"DEFINITE", "CLOSED", "TENTATIVE"})],
    "only": ["", "terrace", "main hall"],
    "terrace_apart": [True, False],
    "prefix": ["", "Event: "],
    "mode": list(MessageMode),
    "mapping": ["a", "b", "c"],
    "zone_data": [HOUR, -HOUR],
}
BY_THE_OPERATOR: dict[str, list[Any]] = {"leave": ["for good", "until changed"], "retry": [None], "take up": [None]}
STEPS = st.one_of(
    *(st.tuples(st.just(name), st.sampled_from(choices)) for name, choices in (AT_THE_SOURCE | IN_THE_CONFIG).items()),
    st.tuples(st.just("wait"), st.sampled_from([HOUR, DAY, 10 * DAY])),
    *(st.tuples(st.just(name), st.sampled_from(choices)) for name, choices in BY_THE_OPERATOR.items()),
)
OUTCOMES = st.sampled_from(["done", "done", "done", "done", "parked", "refused", "lost", "lost but done"])


@dataclasses.dataclass(slots=True)
class History:
    """One event's life, told to both: `link` is ours, `memory` the naive one's."""

    event: Event
    is_gone: bool = False
    wishes: Wishes = Wishes()
    link: Link | None = None
    memory: Memory = dataclasses.field(default_factory=Memory)
    now: Any = NOW
    versions: int = 0
    parked: Any = None  # in a hold: its item, and the row it was planned for

    @property
    def policy(self) -> Policy:
        """The config, as ours has it."""
        wishes = self.wishes
        apart = Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE)
        return Policy(
            pipeline="venue",
            target="reminders",
            id_prefix="ms-",
            filter=Filter(statuses=wishes.statuses, include=Match(facets={"rooms": frozenset({wishes.room})} if wishes.room else {})),
            calendar=HALL,
            routes=(apart,) if wishes.terrace_apart else (),
            texts=Texts(title=wishes.prefix + TITLE),
            mode=wishes.mode,
            basis=wishes.basis,
            window=Window(past=DAY, future=180 * DAY),
        )

    def happen(self, what: str, how: Any) -> None:
        """Let the source, the config, the operator or time move on."""
        match what:
            case "status":
                self.event = with_status(self.event, how)
            case "move":
                self.event = moved(self.event, how)
            case "rename":
                self.event = dataclasses.replace(self.event, title=how)
            case "guest":
                self.event = dataclasses.replace(self.event, participants=(a_guest(how),) if how else ())
            case "count":
                self.event = dataclasses.replace(self.event, custom={"guest_count": how})
            case "room":
                self.event = dataclasses.replace(self.event, facets={"rooms": frozenset({how})})
            case "gone":
                self.is_gone = how
            case "wait":
                self.now += how
            case "leave" | "retry" | "take up":
                self.operate(what, how)
            case _:
                self.configure(what, how)

    def configure(self, what: str, how: Any) -> None:
        self.versions += 1
        match what:
            case "mapping":
                self.rebase(mapping=how)
            case "zone_data":  # the same wall clock is another instant now
                self.event = moved(self.event, how)
                self.rebase(zone_data=str(self.versions))
            case _:
                self.wishes = dataclasses.replace(self.wishes, **{"room" if what == "only" else what: how})
                choice, texts = self.wishes.basis.config.split(" ")
                is_text = what in ("prefix", "mode")
                self.rebase(config=f"{choice} {self.versions}" if is_text else f"{self.versions} {texts}")

    def rebase(self, **changes: str) -> None:
        self.wishes = dataclasses.replace(self.wishes, basis=dataclasses.replace(self.wishes.basis, **changes))

    def operate(self, what: str, how: Any) -> None:
        if self.link is None:
            return
        match what:
            case "leave" if how == "for good":
                self.link = dataclasses.replace(self.link, state=State.IGNORED, until_changed=False)
                self.memory.left_alone, self.memory.refused = how, None
            case "leave" if self.link.state is State.QUARANTINED:  # dropped
                self.link = dataclasses.replace(self.link, state=State.IGNORED, until_changed=True)
                self.memory.left_alone, self.memory.left_at, self.memory.refused = how, self.memory.asked_of, None
            case "leave" if self.link.state is State.HELD:
                self.reject(self.link)
            case "retry" if self.link.state is State.QUARANTINED:
                self.link = dataclasses.replace(self.link, state=State.READY, attempts=0)
                self.memory.refused, self.memory.standing = None, "ready"
            case "take up" if self.link.state is State.IGNORED:
                self.link = dataclasses.replace(self.link, state=State.READY)
                self.memory.left_alone, self.memory.standing = "", "ready"

    def reject(self, held: Link) -> None:
        item, row = self.parked
        rejected = rejected_link(held, HoldKind.UPDATES, item)
        if row is None and held.until_changed:
            self.memory.is_missing_left = True
        else:
            self.memory.left_alone, self.memory.refused = "until changed", None
            self.memory.left_at = self.memory.seen = row
            self.memory.is_missing_left = row is None
            self.memory.asked = None if item.action == DELETE else self.memory.asked
        self.link = rejected

    def decide(self) -> tuple[Decision | None, Opinion]:
        """Ask both."""
        seen = None if self.is_gone else self.event
        opinion = judge(seen, self.memory, self.wishes, self.now)
        if seen is not None:
            return plan(seen, self.link, policy=self.policy, hasher=HASHER, now=self.now), opinion
        if self.link is None:
            return None, opinion
        return plan_gone(self.link, now=self.now), opinion

    def carry_out(self, decision: Decision | None, opinion: Opinion, outcome: str) -> None:
        """Let both remember what came of it."""
        self.memory.is_missing_left &= self.is_gone
        match decision:
            case Create() | Update() | Delete():
                self.memory.mode = self.memory.mode or self.wishes.mode
                self.carry_out_action(decision, opinion, outcome)
            case Unchanged(link=link) | Skipped(link=link):
                if link is not None:
                    self.note_quiet(link)

    def note_quiet(self, link: Link) -> None:
        if self.memory.left_alone and link.state is State.IGNORED:
            if not self.is_gone:
                self.memory.left_at = self.memory.seen = self.event
        elif link.state is not State.QUARANTINED and not self.is_gone:
            self.memory.standing = ""
            self.memory.seen, self.memory.seen_basis = self.event, self.wishes.basis
            self.memory.left_alone, self.memory.refused, self.memory.asked = "", None, self.memory.there
        elif link.state is not State.QUARANTINED:
            self.memory.left_alone, self.memory.refused, self.memory.asked = "", None, self.memory.there
        self.link = link

    def carry_out_action(self, action: Action, opinion: Opinion, outcome: str) -> None:
        before, memory = self.link, self.memory
        was_rejected = before is not None and before.until_changed and before.state in (State.IGNORED, State.HELD)
        may_pass = isinstance(action, Delete) and action.cause in (Cause.ABSENCE, Cause.FILTER, Cause.ROUTE)
        row = None if self.is_gone else self.event
        if outcome == "parked":
            self.parked = item_of(action), row
        if before is not None and was_rejected and outcome == "parked" and may_pass:
            # What was rejected of it is not forgotten meanwhile.
            self.link = dataclasses.replace(before, state=State.HELD, until_shown=False)
            return
        memory.asked, memory.asked_of = opinion.values, row
        memory.standing = outcome
        if outcome == "parked":
            base = before or dataclasses.replace(action.link, source_hash="", basis=Basis(zone_data="", mapping="", config=""))
            source = action.link if isinstance(action, Create) else base
            self.link = dataclasses.replace(base, state=State.HELD, until_changed=False, wanted=action.link.wanted)
            self.link = dataclasses.replace(self.link, source_hash=source.source_hash, basis=source.basis)
            memory.left_alone, memory.refused = "", None
            return
        memory.seen = None if self.is_gone else self.event
        if not self.is_gone:
            memory.seen_basis = (
                self.wishes.basis.with_choice_of(memory.seen_basis) if opinion.is_half and memory.seen_basis else self.wishes.basis
            )
        memory.left_alone, memory.refused = "", None
        if outcome == "refused":
            self.link = dataclasses.replace(action.link, state=State.QUARANTINED, attempts=action.link.attempts + 1)
            memory.refused = (self.event, self.wishes.basis) if not (self.is_gone or opinion.is_half) else None
            return
        if outcome.startswith("lost"):
            self.lose_answer(action, opinion, applied=outcome == "lost but done")
            return
        self.link = _after(action)
        memory.doubtful = frozenset()
        memory.generation += opinion.what in ("delete", "move")
        memory.there = opinion.values
        memory.there_ends = self.event.end if opinion.values else None

    def lose_answer(self, action: Action, opinion: Opinion, *, applied: bool) -> None:
        """Nobody saw the answer; the target is asked whether it has the entry. Of a move only the delete was sent."""
        memory = self.memory
        sending = dataclasses.replace(action.link, state=State.SENDING)
        is_delete = isinstance(action, Delete)
        is_there = (memory.there is not None or applied) and not (is_delete and applied)
        self.link = resolve(sending, self.holding(applied=applied and not is_delete) if is_there else None)
        if not is_there:
            memory.generation += memory.there is not None
            memory.there, memory.there_ends, memory.doubtful = None, None, frozenset()
        elif memory.there is None:
            memory.there, memory.there_ends = opinion.values, self.event.end
            memory.doubtful = frozenset(Field)
        else:
            held = opinion.values if opinion.what == "update" and applied else memory.there
            changing = opinion.fields if opinion.what != "move" else frozenset(_changing(opinion, memory))
            assert held is not None
            memory.doubtful = memory.doubtful | changing
            memory.there = {**held, "calendar": memory.there["calendar"]}
            memory.there_ends = self.event.end if held is opinion.values else memory.there_ends

    def holding(self, *, applied: bool) -> Holding:
        """The entry as the target shows it when it is asked."""
        known = self.link.accepted if self.link else None
        begin, end = (self.event.start, self.event.end) if applied or known is None else (known.start, known.end)
        names: dict[str, Any] = dict.fromkeys(("title", "location", "content", "participants", "custom_data", "calendar"))
        return Holding(target_id=TARGET_ID, external_id=None, is_deleted=False, start=begin, end=end, **names)


def _changing(opinion: Opinion, memory: Memory) -> list[str]:
    assert opinion.values is not None
    assert memory.there is not None
    return [name for name in Field if opinion.values[name] != memory.there[name]]


def _after(action: Action) -> Link:
    """The link once the target accepted everything."""
    link = dataclasses.replace(action.link, state=State.SETTLED, accepted=action.link.wanted, target_id=TARGET_ID, attempts=0)
    if isinstance(action, Delete):
        link = dataclasses.replace(link, generation=link.generation + 1)
    return link if link.accepted else dataclasses.replace(link, target_id=None)


def described(decision: Decision | None) -> tuple[str, frozenset[str], str]:
    """Our decision in the naive one's words."""
    match decision:
        case Create(cause=cause):
            return "create", frozenset(), cause.value
        case Update(fields=fields, cause=cause):
            return "update", frozenset(field.value for field in fields), cause.value
        case Delete(successor=None, cause=cause):
            return "delete", frozenset(), cause.value
        case Delete(cause=cause):
            return "move", frozenset(), cause.value
        case _:
            return "", frozenset(), ""


@settings(max_examples=SOAK * 20 or 600, derandomize=not SOAK, database=None, deadline=None)
@given(st.lists(st.tuples(st.lists(STEPS, max_size=3), OUTCOMES), min_size=1, max_size=14))
def test_our_plan_is_that_of_a_second_naive_implementation(life: list[tuple[list[tuple[str, Any]], str]]) -> None:
    history = History(event=an_event(5, zone="America/New_York", custom={"guest_count": "40"}))
    for steps, outcome in life:
        for what, how in steps:
            history.happen(what, how)
        decision, opinion = history.decide()
        assert described(decision) == (opinion.what, opinion.fields, opinion.cause)
        history.carry_out(decision, opinion, outcome)
        if history.link is not None:
            assert history.link.generation == history.memory.generation
            assert (history.link.accepted is not None) == (history.memory.there is not None)
