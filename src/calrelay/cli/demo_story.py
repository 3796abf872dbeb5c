"""The demo's story, chapter by chapter, told with the real commands. Stage, changes and ending have files of their own."""

import functools
import re
import time
from collections.abc import Sequence
from datetime import date

from calrelay.cli import checking, consent, holds, loading, passes, standing
from calrelay.cli.demo_changes import Change, Sources
from calrelay.cli.demo_serve import serve
from calrelay.cli.demo_stage import STUDIO, VENUE, Stage, set_stage
from calrelay.cli.demo_summary import AHEAD, PEOPLE, Ending, describe, document_of
from calrelay.cli.demo_voice import Ran, Voice
from calrelay.cli.output import Output, Table
from calrelay.cli.session import Session, run_interruptibly
from calrelay.domain.link import ExternalId, MessageMode
from calrelay.domain.words import counted
from calrelay.ports import Ledger
from calrelay.state.database import Access

_LOAD = re.compile(r"calrelay backfill (?P<name>\S+) --from (?P<first>\S+) --to (?P<last>\S+) --messages no-booking")


def demo(output: Output, *, events: int, serves: bool) -> int:
    """Tell the story on simulators of their own, and end with a summary; then serve them, if asked to."""
    return run_interruptibly(_demo(output, events, serves=serves))


async def _demo(output: Output, events: int, *, serves: bool) -> int:
    async with set_stage(events) as stage:
        ending = await _tell(Voice(output, stage), stage)
        output.answer(document_of(ending), describe(ending))
        if serves:
            await serve(output, stage)
    return 0


async def _tell(voice: Voice, stage: Stage) -> Ending:
    began, sources = time.monotonic(), Sources(stage)
    _introduce(voice, stage)
    await _connect(voice, stage)
    await _look(voice)
    await _refuse_and_load(voice, stage)
    await _change(voice, stage, sources)
    await _break_down(voice, stage, sources)
    await _have_accidents(voice, stage, sources)
    with stage.session.state(Access.READ) as (_, state):
        return Ending(ran=voice.ran, stage=stage, holds=state.ledger.holds(), seconds=time.monotonic() - began)


def _introduce(voice: Voice, stage: Stage) -> None:
    tripleseat, timetap = stage.world.tripleseat, stage.world.timetap
    rows = [
        ("Tripleseat", stage.urls["tripleseat"], f"{len(tripleseat.events)} events in two houses"),
        ("TimeTap", stage.urls["timetap"], f"{len(timetap.book.bookings)} appointments of a studio"),
        ("Apptoto", stage.urls["apptoto"], "empty; messages a guest when an event is created, and reminds 24 h and 1 h before"),
    ]
    voice.say(
        "calrelay keeps Apptoto in step with Tripleseat and TimeTap. This demo simulates all three on this machine:",
        "",
        Table(rows=rows, indent=2),
        "",
        "Nobody real is messaged, and nothing leaves this machine. Two pipelines are set up:",
        "",
        Table(
            rows=[
                (VENUE, "Tripleseat → Apptoto", 'calendar "Main Hall", events on the Terrace to calendar "Terrace"'),
                (STUDIO, "TimeTap → Apptoto", 'calendar "Studio"'),
            ],
            indent=2,
        ),
    )


async def _connect(voice: Voice, stage: Stage) -> None:
    voice.chapter(
        "Does everything answer?",
        "Tripleseat wants a person's consent. `calrelay login venue` opens a browser for it; on a machine without one a code will do:",
    )
    code = stage.consent()
    await voice.run("setting up", f"calrelay login venue --code {code}", functools.partial(_login, code=code))
    await voice.run("setting up", "calrelay check", functools.partial(checking.check, is_offline=False))
    voice.say("(The demo asks faster than real vendors allow; that is what the first two remarks are about.)")


async def _look(voice: Voice) -> None:
    voice.chapter("What would it do?", "A plan reads the sources, compares, and writes nothing anywhere.")
    await voice.run("before anything", "calrelay plan", _plan)


async def _refuse_and_load(voice: Voice, stage: Stage) -> None:
    voice.chapter(
        "The first load messages nobody",
        "Creating an event is what makes Apptoto message its guest. So a first sync of a whole season is refused:",
    )
    refused = await voice.run("first sync", "calrelay sync", _sync)
    _tell_messages(voice, stage, refused)
    voice.say("", "The refusal says what to type. `no-booking` marks each new event with #nobooking: no message now, reminders later.")
    for name in (VENUE, STUDIO):
        loaded = await _load(voice, refused.problem(name)["remedy"])
        _tell_messages(voice, stage, loaded)
    voice.say("", "A second sync finds nothing to do, and sends nothing:")
    again = await voice.run("nothing new", "calrelay sync", _sync)
    _tell_messages(voice, stage, again)


async def _load(voice: Voice, remedy: str) -> Ran:
    """Type what the refusal says."""
    found = _LOAD.search(remedy)
    if found is None:
        raise RuntimeError("the refusal of a first load does not say what to type")
    name, days = found["name"], (date.fromisoformat(found["first"]), date.fromisoformat(found["last"]))
    return await voice.run(
        f"load of {name}", found[0], lambda session, output: loading.backfill(session, output, name, *days, MessageMode.NO_BOOKING)
    )


async def _change(voice: Voice, stage: Stage, sources: Sources) -> None:
    voice.chapter("An ordinary day", "At the venue and the studio, people work:")
    changes = sources.change()
    voice.say("", Table(rows=[(change.external_id, change.title, change.what) for change in changes], indent=2))
    await voice.run("ordinary day", "calrelay plan", _plan)
    synced = await voice.run("ordinary day", "calrelay sync", _sync)
    _tell_outcome(voice, stage, changes, synced)
    _tell_messages(voice, stage, synced)
    voice.say(
        "calrelay counts everybody whose event it creates or changes. Apptoto messages at once only for a new event without a mark:",
        "updates are silent, and the event on the Terrace kept the #nobooking it was loaded with.",
    )
    returned = sources.bring_back()
    voice.say("", f"Later, {returned.external_id} is {returned.what}. What was deleted at Apptoto is created anew, under the next id:")
    await voice.run("guest is back", "calrelay plan venue", lambda session, output: passes.plan(session, output, [VENUE]))
    synced = await voice.run("guest is back", "calrelay sync venue", lambda session, output: passes.sync(session, output, [VENUE]))
    _tell_outcome(voice, stage, [returned], synced)
    _tell_messages(voice, stage, synced)


async def _break_down(voice: Voice, stage: Stage, sources: Sources) -> None:
    voice.chapter(
        "An outage deletes nothing",
        "Tripleseat answers with a login page from the second page on, TimeTap with 503. Events that cannot be seen are not gone:",
    )
    sources.fail()
    held = len(stage.held_by_target())
    await voice.run("outage", "calrelay sync", _sync)
    voice.say("", f"Apptoto held {held} events before, and holds {len(stage.held_by_target())} now. Then both vendors recover:")
    sources.recover()
    await voice.run("recovered", "calrelay sync", _sync)


async def _have_accidents(voice: Voice, stage: Stage, sources: Sources) -> None:
    shifted, hidden = sources.shift_all(), sources.hide_all()
    voice.chapter(
        "Two accidents are held back",
        f"Somebody sets a wrong clock at one house: {counted(shifted, 'event')} move by the same hour. And TimeTap answers soundly,",
        f"but with an empty calendar: all {hidden} appointments seem to be gone. Guests would be told wrong times, or lose their",
        "reminders. So calrelay asks first:",
    )
    held = len(stage.held_by_target())
    synced = await voice.run("accidents", "calrelay sync", _sync)
    voice.say("", f"Apptoto held {held} events before, and holds {len(stage.held_by_target())} now, at their old times.")
    _tell_messages(voice, stage, synced)
    await voice.run("accidents", "calrelay holds", holds.holds)
    await voice.run("accidents", "calrelay status", standing.status)


def _login(session: Session, output: Output, *, code: str) -> int:
    return consent.login(session, output, VENUE, code=code, browser=consent.Browser.CLOSED)


def _plan(session: Session, output: Output) -> int:
    return passes.plan(session, output, [])


def _sync(session: Session, output: Output) -> int:
    return passes.sync(session, output, [])


def _tell_messages(voice: Voice, stage: Stage, ran: Ran) -> None:
    """Say what Apptoto's own ledger says, which knows nothing of what we think."""
    sent = ran.after.since(ran.before)
    people = len(stage.people_of(sent))
    at_once = f"sent {counted(len(sent), 'message')} to {counted(people, *PEOPLE)} at once" if sent else "sent nothing"
    ahead, messaged_later = ran.after.scheduled, len(stage.people_of(ran.after.scheduled))
    later = f"{counted(len(ahead), *AHEAD)} to {counted(messaged_later, *PEOPLE)} ahead" if ahead else "nothing ahead"
    voice.say(
        "",
        f"Apptoto's own ledger: {at_once}; holds {counted(len(stage.held_by_target()), 'event')}; {later}.",
    )


def _tell_outcome(voice: Voice, stage: Stage, changes: Sequence[Change], ran: Ran) -> None:
    """Show, change by change, what was done and what Apptoto holds since."""
    with stage.session.state(Access.READ) as (_, state):
        rows = [(change.external_id, change.what, _done(state.ledger, change, ran), _now_held(stage, change)) for change in changes]
    voice.say("", Table(columns=("id", "at the source", "what calrelay did", "Apptoto now"), rows=rows, indent=2))


def _done(ledger: Ledger, change: Change, ran: Ran) -> str:
    pipeline = VENUE if change.external_id.startswith("ts-") else STUDIO
    history = ledger.history(pipeline, ExternalId(change.external_id))
    return ", then ".join(one.what for one in history if one.at >= ran.started) or "nothing"


def _now_held(stage: Stage, change: Change) -> str:
    entry = stage.entry(change.external_id)
    if entry is None:
        return "not there any more"
    calendar = stage.world.apptoto.events.calendars[entry.calendar_id].name
    return f"{entry.external_id}: {entry.title}, {entry.start_time:%a %d %b %H:%M}, {calendar}"
