"""How a pass counts guests who would hear of an event twice: from its source, and from its target."""

from datetime import timedelta

from calrelay.domain.link import MessageMode
from calrelay.domain.messages import mailing_triggers
from calrelay.domain.reminders import Channel, Guest, OwnMessages, Recipient, Reminder
from calrelay.engine.order import Order, Reach
from calrelay.engine.overlap import survey_overlap
from calrelay.engine.overlapping import remembered_overlap
from calrelay.engine.sync import run_pass
from tests.fakes.memory_messenger import MemoryMessenger, a_trigger, some_rules
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.studio import Studio

DAY = timedelta(days=1)


def reminded(number: int, *, guest: int = 0, recipient: Recipient = Recipient.GUEST) -> object:
    """An event whose source mails somebody a day before."""
    reminder = Reminder(recipient=recipient, channel=Channel.EMAIL, before=DAY)
    own = OwnMessages(guest=Guest(email=f"guest{guest or number}@example.com"), booked_at=NOW - 9 * DAY, reminders=(reminder,))
    return an_event(number, own=own)


def a_studio(*events: object) -> Studio:
    studio = Studio(events=0)
    studio.messenger.setup = some_rules()
    studio.bench.source.put(*events)  # type: ignore[arg-type] # events only
    return studio


def counted(studio: Studio) -> tuple[int, int, bool] | None:
    found = remembered_overlap(studio.bench.ledger, "venue", "venue")
    return None if found is None else (found.guests, found.events, found.with_triggers)


async def test_a_complete_pass_remembers_distinct_guests_and_their_events_without_asking() -> None:
    studio = a_studio(reminded(1), reminded(2, guest=1), reminded(3), reminded(4, recipient=Recipient.STAFF), an_event(5))
    assert counted(studio) is None
    await studio.sync()
    assert counted(studio) == (2, 3, False)
    assert studio.messenger.asked == []


async def test_a_quick_pass_and_a_plan_remember_nothing() -> None:
    studio = a_studio(reminded(1))
    report = await run_pass(studio.pipeline, Order(command="plan", is_dry_run=True))
    assert report.overlap is not None
    assert report.overlap.guests == 1
    assert "overlap" in report.to_json()
    assert counted(studio) is None
    await studio.sync()
    studio.bench.source.put(reminded(2))  # type: ignore[arg-type] # an event
    await studio.sync(reach=Reach.QUICK)
    assert counted(studio) == (1, 1, False)


async def test_triggers_count_once_they_are_known_and_are_named_as_uncounted_until_then() -> None:
    studio = Studio(events=4)
    await studio.sync()
    await studio.listener.renew_rules(DAY)
    found = remembered_overlap(studio.bench.ledger, "venue", "venue")
    assert found is not None
    assert (found.guests, found.uncounted, bool(found)) == (0, 1, True)
    await studio.sync()
    assert counted(studio) == (4, 4, True)


async def test_guests_whom_the_target_skips_are_not_counted() -> None:
    studio = a_studio(reminded(1))
    studio.bench.mode = MessageMode.SKIP
    await studio.sync()
    assert counted(studio) == (0, 0, False)
    assert not remembered_overlap(studio.bench.ledger, "venue", "venue")


async def test_what_is_left_out_of_the_pipeline_is_not_counted() -> None:
    lost = reminded(2)
    studio = a_studio(reminded(1), lost)
    studio.bench.statuses = frozenset({"CLOSED"})
    await studio.sync()
    assert counted(studio) == (0, 0, False)


async def test_a_source_that_messages_nobody_has_no_count() -> None:
    studio = Studio(events=0)
    studio.bench.source.put(an_event(1))
    await studio.bench.sync()
    assert counted(studio) is None


async def test_a_survey_of_its_own_counts_the_span_alone_and_remembers_nothing() -> None:
    studio = a_studio(reminded(1), reminded(2), reminded(30))
    pipeline = studio.pipeline
    span = pipeline.window.at(NOW)
    near = type(span)(begin=NOW, end=NOW + 14 * DAY)
    assert (await survey_overlap(pipeline, near, NOW)).guests == 2
    assert (await survey_overlap(pipeline, span, NOW)).guests == 3
    assert counted(studio) is None


def test_triggers_that_mail_guests_are_told_from_others() -> None:
    assert mailing_triggers(some_rules(a_trigger(), a_trigger(-2, identity="31002"))) == 2
    assert mailing_triggers(MemoryMessenger().setup) == 0
