"""Which messages a source sends about an event by itself: scope, time, text, recipient; vendors' objects are not known here."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.messages import (
    Action,
    Invitation,
    Message,
    Moment,
    Rules,
    Scope,
    Subject,
    Template,
    Trigger,
    Why,
    choose,
    messages_of,
    possible_of,
)
from calrelay.domain.reminders import Channel, Guest, OwnMessages, Recipient, Reminder

START = datetime(2026, 12, 1, 17, tzinfo=UTC)
BOOKED = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
GUEST = Guest(id="9100001", email="Ana@example.org", phone="+12125550147")
TO_GUEST = Template(id="12001", category="76", level=1, recipient=Recipient.GUEST)
TO_STAFF = Template(id="12002", category="76", level=1, recipient=Recipient.STAFF)


def an_event(*, own: OwnMessages | None = None, **about: Any) -> Event:
    facets = {"services": frozenset({"88001", "venue tour"}), "staff": frozenset({"61001"}), "locations": frozenset({"41001"})}
    event = Event(
        source_id=SourceId("70000001"),
        status="OPEN",
        lifecycle=Lifecycle.LIVE,
        start=START,
        end=START + HOUR,
        zone="America/New_York",
        title="Venue tour",
        facets=facets,
        own=own or OwnMessages(guest=GUEST, booked_at=BOOKED),
    )
    return dataclasses.replace(event, **about)


def a_trigger(**about: Any) -> Trigger:
    actions = (Action(id="41901", template_id="12001"),)
    return dataclasses.replace(Trigger(id="31001", moment=Moment.TIME, delay=-24 * HOUR, actions=actions), **about)


def some_rules(*triggers: Trigger, **about: Any) -> Rules:
    return dataclasses.replace(Rules(triggers=triggers, templates={"12001": TO_GUEST, "12002": TO_STAFF}), **about)


def sent(event: Event, rules: Rules) -> list[Message]:
    return list(messages_of(event, rules))


# --- built-in reminders ---


@pytest.mark.parametrize("recipient", list(Recipient))
@pytest.mark.parametrize("channel", list(Channel))
def test_a_built_in_reminder_goes_out_before_the_start(recipient: Recipient, channel: Channel) -> None:
    own = OwnMessages(guest=GUEST, booked_at=BOOKED, reminders=(Reminder(recipient=recipient, channel=channel, before=2 * HOUR),))
    [message] = sent(an_event(own=own), Rules())
    assert (message.recipient, message.channel, message.at, message.why) == (recipient, channel, START - 2 * HOUR, Why.BUILT_IN)
    assert (message.subject, message.subject_id, message.can_silence) == (Subject.APPOINTMENT, "70000001", False)
    assert "Messaging Settings" in message.how


@pytest.mark.parametrize(("channel", "guest"), [(Channel.EMAIL, Guest(phone="5")), (Channel.SMS, Guest(email="ana@example.org"))])
def test_a_guest_without_an_address_for_it_gets_none(channel: Channel, guest: Guest) -> None:
    own = OwnMessages(guest=guest, reminders=(Reminder(recipient=Recipient.GUEST, channel=channel, before=HOUR),))
    assert sent(an_event(own=own), Rules()) == []


def test_a_reminder_older_than_the_booking_is_none() -> None:
    own = OwnMessages(
        guest=GUEST, booked_at=START - HOUR, reminders=(Reminder(recipient=Recipient.STAFF, channel=Channel.EMAIL, before=2 * HOUR),)
    )
    assert sent(an_event(own=own), Rules()) == []
    assert len(sent(an_event(own=dataclasses.replace(own, booked_at=None)), Rules())) == 1


@pytest.mark.parametrize("about", [{"lifecycle": Lifecycle.CANCELLED}, {"lifecycle": Lifecycle.KEPT}, {"exempt": "no client"}])
def test_what_does_not_take_place_messages_nobody(about: dict[str, Any]) -> None:
    own = OwnMessages(guest=GUEST, reminders=(Reminder(recipient=Recipient.GUEST, channel=Channel.EMAIL, before=HOUR),))
    event = an_event(own=own, **about)
    assert sent(event, some_rules(a_trigger())) == []
    assert list(possible_of(event, some_rules(a_trigger(moment=Moment.CHANGED)))) == []


def test_a_source_that_sends_nothing_by_itself_has_no_messages() -> None:
    assert sent(dataclasses.replace(an_event(), own=None), some_rules(a_trigger())) == []


# --- triggers ---


@pytest.mark.parametrize(("hours", "at"), [(-24, START - 24 * HOUR), (0, START), (3, START + 4 * HOUR)])
def test_hours_count_back_from_the_start_and_on_from_the_end(hours: int, at: datetime) -> None:
    [message] = sent(an_event(), some_rules(a_trigger(delay=hours * HOUR)))
    assert (message.at, message.why, message.subject, message.subject_id) == (at, Why.TRIGGER, Subject.ACTION, "41901")
    assert message.can_silence
    assert message.how == "calrelay messages silence action:41901"


def test_whom_a_mail_goes_to_stands_in_its_template() -> None:
    actions = (Action(id="1", template_id="12001"), Action(id="2", template_id="12002"))
    found = sent(an_event(), some_rules(a_trigger(actions=actions)))
    assert [(message.subject_id, message.recipient) for message in found] == [("1", Recipient.GUEST), ("2", Recipient.STAFF)]
    assert found[1].how.endswith("--staff")


@pytest.mark.parametrize("facet", ["services", "staff", "locations"])
def test_a_list_keeps_a_trigger_from_other_events(facet: str) -> None:
    def only_for(ids: frozenset[str]) -> Rules:
        limits: dict[str, Any] = {facet: ids}
        return some_rules(a_trigger(scope=Scope(**limits)))

    assert sent(an_event(), only_for(frozenset({"9"}))) == []
    assert sent(an_event(), only_for(an_event().facets[facet] | {"9"}))


def test_an_empty_list_admits_all() -> None:
    assert sent(an_event(), some_rules(a_trigger(scope=Scope(services=frozenset()))))


def test_a_trigger_for_classes_passes_other_events_by() -> None:
    rules = some_rules(a_trigger(scope=Scope(is_for_classes=True)))
    assert sent(an_event(), rules) == []
    assert sent(an_event(facets={"reason_types": frozenset({"class"})}), rules)


@pytest.mark.parametrize("about", [{"excluded": frozenset({"76"})}, {"templates": {}}])
def test_a_disabled_category_and_a_lost_template_send_nothing_that_could_be_told(about: dict[str, Any]) -> None:
    assert sent(an_event(), some_rules(a_trigger(), **about)) == []


def test_a_fixed_address_is_neither_guest_nor_staff() -> None:
    assert sent(an_event(), some_rules(a_trigger(), templates={"12001": dataclasses.replace(TO_GUEST, recipient=None)})) == []


def test_a_template_that_is_gone_is_replaced_by_its_category_where_that_is_known() -> None:
    action = Action(id="1", template_id="gone", category="76")
    [message] = sent(an_event(), some_rules(a_trigger(actions=(action,)), templates={"12002": TO_STAFF}))
    assert message.template == TO_STAFF


def test_a_change_has_no_instant_and_only_its_status_sets_it_off() -> None:
    rules = some_rules(a_trigger(moment=Moment.CHANGED, old_status="OPEN", new_status="COMPLETED"))
    assert sent(an_event(), rules) == []
    [message] = possible_of(an_event(), rules)
    assert message.at is None
    assert list(possible_of(an_event(status="PENDING"), rules)) == []
    assert list(possible_of(an_event(status="PENDING"), some_rules(a_trigger(moment=Moment.CHANGED, old_status="*"))))


# --- which text ---

LEVELS = (
    Template(id="0", level=0),
    Template(id="1", level=1),
    Template(id="2", level=2, language="es"),
    Template(id="3", level=3, services=frozenset({"88001"})),
    Template(id="4", level=4, language="es", services=frozenset({"88001"})),
)


@pytest.mark.parametrize(
    ("service", "language", "wanted"),
    [("88001", "es", "4"), ("88001", None, "3"), ("88001", "fr", "3"), ("9", "es", "2"), ("9", None, "1")],
)
def test_the_most_special_text_that_fits_is_sent(service: str, language: str | None, wanted: str) -> None:
    for templates in (LEVELS, LEVELS[::-1]):
        chosen = choose(templates, frozenset({service}), language)
        assert chosen is not None
        assert chosen.id == wanted


def test_the_vendors_own_text_is_what_is_left_in_the_end() -> None:
    chosen = choose(LEVELS[:1], frozenset(), None)
    assert chosen is not None
    assert chosen.id == "0"
    assert choose((), frozenset(), None) is None


# --- invitations ---

REMIND = a_trigger(moment=Moment.INVITATION_OPEN, delay=24 * HOUR, campaign="99001")


def an_invitation(**about: Any) -> Invitation:
    invitation = Invitation(campaign="99001", event=SourceId("70000001"), guest_id="9100001", created_at=BOOKED)
    return dataclasses.replace(invitation, **about)


def test_an_unanswered_invitation_reminds_from_its_creation() -> None:
    [message] = sent(an_event(), some_rules(REMIND, invitations=(an_invitation(),)))
    assert (message.at, message.why) == (BOOKED + 24 * HOUR, Why.INVITATION)
    assert (message.subject, message.subject_id, message.can_silence) == (Subject.CAMPAIGN, "99001", False)
    assert message.is_for_its_guest


@pytest.mark.parametrize("about", [{"is_answered": True}, {"event": SourceId("7")}, {"campaign": "99002"}])
def test_an_answered_one_and_those_of_other_events_and_campaigns_do_not(about: dict[str, Any]) -> None:
    assert sent(an_event(), some_rules(REMIND, invitations=(an_invitation(**about),))) == []


def test_somebody_else_who_is_invited_is_not_the_events_guest() -> None:
    [message] = sent(an_event(), some_rules(REMIND, invitations=(an_invitation(guest_id="9100002"),)))
    assert not message.is_for_its_guest


def test_an_invitation_that_names_nobody_is_its_guests() -> None:
    [message] = sent(an_event(), some_rules(REMIND, invitations=(an_invitation(guest_id=None),)))
    assert message.is_for_its_guest


def test_what_follows_an_invitation_and_its_completion_counts_from_each() -> None:
    rules = some_rules(
        dataclasses.replace(REMIND, moment=Moment.INVITED, delay=HOUR),
        dataclasses.replace(REMIND, moment=Moment.INVITATION_COMPLETED, delay=2 * HOUR),
        invitations=(an_invitation(is_answered=True, completed_at=START),),
    )
    assert [message.at for message in sent(an_event(), rules)] == [BOOKED + HOUR, START + 2 * HOUR]


def test_guests_are_told_apart_by_their_address_whatever_its_letter_case() -> None:
    assert Guest(email="Ana@example.org").address == Guest(email="ana@example.org", phone="5").address
    assert Guest(phone="5").address == "5"
    assert "ana" not in repr(Guest(email="ana@example.org"))
