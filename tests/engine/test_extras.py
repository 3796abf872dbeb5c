"""Extra custom data about a source's own messages: what it costs, what a new value does, and what becomes of it when nobody answers."""

from datetime import timedelta

import pytest

from calrelay.domain.event import Extra, SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Field
from calrelay.domain.messages import InvitationStatus
from calrelay.engine.listening import KEPT, MEMO_INVITATIONS, MEMO_RULES, RETRY, Listener
from calrelay.engine.order import Order, Reach
from calrelay.engine.report import Outcome
from calrelay.engine.sync import run_pass
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_messenger import a_trigger, some_rules
from tests.fakes.memory_source import NOW
from tests.fakes.studio import Studio, an_invitation

BOTH = frozenset(Extra)
DOWN = VendorUnavailable("no answer", account="venue")
MINUTE = timedelta(minutes=1)


async def test_nothing_is_asked_where_no_extra_field_is_wanted() -> None:
    studio = Studio()
    for _ in range(2):
        assert (await studio.sync()).outcome is Outcome.OK
    assert studio.messenger.asked == []
    assert "next_message" not in studio.custom(1)


async def test_switching_them_on_is_one_hold_that_changes_custom_data_alone() -> None:
    studio = Studio()
    await studio.sync()
    studio.bench.target.upserts.clear()
    studio.wanted = BOTH
    held = await studio.sync()
    assert [(group.kind, len(group.actions)) for group in held.parked] == [(HoldKind.MAPPING, 12)]
    assert studio.bench.target.upserts == []
    studio.bench.ledger.approve(studio.bench.ledger.holds("venue"), studio.bench.now)
    assert (await studio.sync()).updated == 12
    assert {put.fields for batch in studio.bench.target.upserts for put in batch} == {frozenset({Field.CUSTOM_DATA})}
    assert studio.custom(3) == {"guest_count": "40", "next_message": "2026-11-23T10:00-05:00 email", "invitation_status": "sent"}
    assert "invitation_status" not in studio.custom(4)


async def test_a_quiet_pass_over_many_events_asks_nothing_and_sends_nothing() -> None:
    studio = Studio(events=140)
    await studio.switch_on()
    for _ in range(3):
        report = await studio.sync()
        assert (report.unchanged, report.sent, report.held) == (140, 0, 0)
    assert studio.messenger.asked == []
    assert studio.bench.target.upserts == []


async def test_they_are_asked_for_once_an_hour_whatever_the_number_of_events_and_passes() -> None:
    studio = Studio(events=140)
    await studio.switch_on()
    for _ in range(26):
        studio.bench.now += 5 * MINUTE
        await studio.sync()
    assert sorted(studio.messenger.asked) == ["invitations", "invitations", "rules", "rules"]


async def test_a_quick_pass_and_a_hint_do_not_ask_before_the_hour_is_over() -> None:
    studio = Studio()
    await studio.switch_on()
    await studio.sync(reach=Reach.QUICK)
    studio.bench.now += KEPT + MINUTE
    await studio.sync(reach=Reach.IDS, ids=frozenset({SourceId("3")}))
    assert studio.messenger.asked == []


async def test_a_new_value_is_an_update_of_custom_data_like_any_change_at_the_source() -> None:
    studio = Studio()
    await studio.switch_on()
    studio.messenger.invited = (an_invitation(3, InvitationStatus.CLICKED),)
    studio.bench.now += KEPT + MINUTE
    report = await studio.sync()
    assert (report.updated, report.held) == (1, 0)
    [[put]] = studio.bench.target.upserts
    assert (put.external_id, put.fields) == ("ms-3", frozenset({Field.CUSTOM_DATA}))
    assert studio.custom(3)["invitation_status"] == "clicked"


async def test_a_message_that_has_gone_out_makes_way_for_the_next_and_then_for_none() -> None:
    studio = Studio(events=3)
    studio.messenger.setup = some_rules(a_trigger(-24), a_trigger(-2, identity="31002"))
    await studio.switch_on()
    seen = []
    for hours in (1, 21, 24):
        studio.bench.now = NOW + timedelta(days=1, hours=hours)
        await studio.sync()
        seen.append(studio.custom(1).get("next_message"))
    assert seen == ["2026-11-22T08:00-05:00 email", "2026-11-22T08:00-05:00 email", None]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_when_nobody_answers_the_last_known_values_stay_and_the_read_is_complete(is_restarted: bool) -> None:
    studio = Studio()
    await studio.switch_on()
    studio.messenger.error = DOWN
    if is_restarted:
        studio.restart()
    studio.bench.now += KEPT + MINUTE
    report = await studio.sync()
    assert (report.outcome, report.is_complete, report.sent, report.problems) == (Outcome.OK, True, 0, [])
    assert report.notes["invitation_status, next_message could not be read anew and stays as last known"] == 12


async def test_an_account_that_failed_is_left_in_peace_for_a_while() -> None:
    studio = Studio()
    await studio.switch_on()
    studio.messenger.error = DOWN
    studio.bench.now += KEPT + MINUTE
    for _ in range(3):
        await studio.sync()
    assert sorted(studio.messenger.asked) == ["invitations", "rules"]
    studio.bench.now += RETRY
    studio.messenger.error = None
    assert not (await studio.sync()).notes
    assert len(studio.messenger.asked) == 4


async def test_fields_of_which_nothing_was_ever_known_are_not_switched_on_yet() -> None:
    """Or they would come as changes at the source later, by the dozen, past the hold they belong into."""
    studio = Studio()
    await studio.sync()
    studio.wanted, studio.messenger.error = BOTH, DOWN
    report = await studio.sync()
    assert (report.outcome, report.sent, report.held) == (Outcome.OK, 0, 0)
    studio.messenger.error = None
    studio.bench.now += RETRY
    assert [group.kind for group in (await studio.sync()).parked] == [HoldKind.MAPPING]


async def test_what_is_known_of_campaigns_that_were_not_asked_this_time_stays() -> None:
    studio = Studio()
    await studio.switch_on()
    studio.messenger.campaigns, studio.messenger.invited = (
        frozenset({"99002"}),
        (an_invitation(4, InvitationStatus.OPENED, campaign="99002"),),
    )
    studio.bench.now += KEPT + MINUTE
    await studio.sync()
    assert studio.custom(3)["invitation_status"] == "sent"
    assert studio.custom(4)["invitation_status"] == "opened"


async def test_what_is_remembered_names_nobody() -> None:
    studio = Studio()
    await studio.switch_on()
    memos = [studio.bench.ledger.memo(key.format(account="venue")) for key in (MEMO_RULES, MEMO_INVITATIONS)]
    text = " ".join(memo[0] for memo in memos if memo)
    assert '"31001"' in text
    assert not [word for word in ("Ana", "idea", "@", "Guest") if word in text]


async def test_a_process_that_may_not_write_keeps_nothing() -> None:
    studio = Studio()
    studio.is_kept = False
    studio.restart()
    studio.wanted = BOTH
    report = await run_pass(studio.pipeline, Order(command="plan", is_dry_run=True))
    assert report.created == 12
    assert studio.bench.ledger.memo(MEMO_RULES.format(account="venue")) is None


async def test_what_another_process_read_is_taken_over_without_asking() -> None:
    studio = Studio()
    await studio.switch_on()
    studio.bench.now += KEPT + MINUTE
    other = Listener(studio.messenger, studio.bench.ledger, clock=lambda: studio.bench.now)
    await other.renew_for(BOTH)
    studio.forget()
    await studio.sync()
    assert studio.messenger.asked == []


async def test_switching_them_off_is_one_hold_too() -> None:
    studio = Studio()
    await studio.switch_on()
    studio.wanted = frozenset()
    assert [(group.kind, len(group.actions)) for group in (await studio.sync()).parked] == [(HoldKind.MAPPING, 12)]
