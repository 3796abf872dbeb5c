"""What the extra fields say of one event."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.domain.event import Event, Extra, Lifecycle, SourceId
from calrelay.domain.extras import Known, invitation_status, next_message, with_extras
from calrelay.domain.messages import Action, Invitation, InvitationStatus, Moment, Rules, Template, Trigger
from calrelay.domain.reminders import Channel, Guest, OwnMessages, Recipient, Reminder

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GUEST = Guest(id="9100001", email="ana@example.org", phone="+12125550147")


def a_reminder(hours: int, recipient: Recipient = Recipient.GUEST, channel: Channel = Channel.EMAIL) -> Reminder:
    return Reminder(recipient=recipient, channel=channel, before=hours * HOUR)


def an_event(*reminders: Reminder, **about: Any) -> Event:
    event = Event(
        source_id=SourceId("70000001"),
        status="OPEN",
        lifecycle=Lifecycle.LIVE,
        start=datetime(2026, 12, 1, 17, tzinfo=UTC),
        end=datetime(2026, 12, 1, 18, tzinfo=UTC),
        zone="America/New_York",
        title="Venue tour",
        custom={"service": "Venue tour"},
        own=OwnMessages(guest=GUEST, reminders=reminders),
    )
    return dataclasses.replace(event, **about)


def an_invitation(status: InvitationStatus = InvitationStatus.SENT, **about: Any) -> Invitation:
    made = Invitation(campaign="99001", event=SourceId("70000001"), guest_id="9100001", created_at=NOW - 9 * HOUR, status=status)
    return dataclasses.replace(made, **about)


def test_the_next_message_is_the_soonest_to_the_guest_on_the_clock_of_the_place() -> None:
    event = an_event(a_reminder(1, channel=Channel.SMS), a_reminder(24), a_reminder(48, Recipient.STAFF))
    assert next_message(event, Rules(), NOW) == "2026-11-30T12:00-05:00 email"
    assert next_message(event, Rules(), datetime(2026, 12, 1, tzinfo=UTC)) == "2026-12-01T11:00-05:00 sms"
    assert next_message(event, Rules(), event.start) == ""


def test_a_trigger_counts_and_one_that_waits_for_a_change_does_not() -> None:
    def rules(moment: Moment) -> Rules:
        trigger = Trigger(id="31001", moment=moment, delay=-2 * HOUR, actions=(Action(id="41901", template_id="12001"),))
        return Rules(triggers=(trigger,), templates={"12001": Template(id="12001", recipient=Recipient.GUEST)})

    assert next_message(an_event(), rules(Moment.TIME), NOW) == "2026-12-01T10:00-05:00 email"
    assert next_message(an_event(), rules(Moment.CHANGED), NOW) == ""


@pytest.mark.parametrize("about", [{"lifecycle": Lifecycle.CANCELLED}, {"exempt": "time off"}, {"own": None}])
def test_what_does_not_take_place_or_sends_nothing_has_no_next_message(about: dict[str, Any]) -> None:
    assert next_message(an_event(a_reminder(24), **about), Rules(), NOW) == ""


@pytest.mark.parametrize("status", list(InvitationStatus))
def test_an_invitation_says_how_far_it_came_once_it_went_out(status: InvitationStatus) -> None:
    assert invitation_status(an_event(), [an_invitation(status)]) == ("" if status is InvitationStatus.PENDING else status.value)


def test_of_several_invitations_the_newest_counts() -> None:
    old = an_invitation(InvitationStatus.DECLINED, created_at=NOW - 90 * HOUR)
    assert invitation_status(an_event(), [an_invitation(InvitationStatus.OPENED), old]) == "opened"


@pytest.mark.parametrize(("about", "status"), [({"guest_id": "9100002"}, ""), ({"event": SourceId("1")}, ""), ({"guest_id": None}, "sent")])
def test_somebody_elses_invitation_says_nothing_of_the_guest(about: dict[str, Any], status: str) -> None:
    assert invitation_status(an_event(), [an_invitation(**about)]) == status


def test_a_field_with_nothing_to_say_is_left_out_and_the_others_stay() -> None:
    known = Known(rules=Rules(), invitations=(an_invitation(),))
    assert with_extras(an_event(), list(Extra), known, NOW).custom == {"service": "Venue tour", "invitation_status": "sent"}
    assert with_extras(an_event(), [Extra.NEXT_MESSAGE], known, NOW).custom == {"service": "Venue tour"}


def test_nothing_known_is_told_from_nothing_there() -> None:
    assert [Known().can_tell(extra) for extra in Extra] == [False, False]
    assert [Known(rules=Rules(), invitations=()).can_tell(extra) for extra in Extra] == [True, True]
