"""What TimeTap's appointments become: whose clock counts, which zone, which status, and whom it reaches."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calrelay.domain.event import Event, Lifecycle
from calrelay.domain.people import Role
from calrelay.domain.readings import DISAGREEMENT
from calrelay.errors import MappingError
from calrelay.simulators.timetap.rows import ANA as ANA_LOPEZ
from calrelay.simulators.timetap.rows import ClientPair, a_client, a_location, a_reason, a_staff, an_appointment_row
from calrelay.simulators.timetap.settings import Spelling, TimeTapSettings
from calrelay.simulators.timetap.shapes import dress
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.mapping import NO_CLIENT, STATUSES, lacks_zone, to_canonical
from calrelay.vendors.timetap.settings import STATUSES as CONFIGURED_STATUSES
from calrelay.vendors.timetap.times import start_day, zone_of
from calrelay.vendors.timetap.wire import AppointmentRow

NEW_YORK, LONDON = "America/New_York", "Europe/London"
ANA = a_client(ANA_LOPEZ)
NO_UTC: dict[str, Any] = {"startDateTimeUTC": None, "endDateTimeUTC": None}
NO_ZONE: dict[str, Any] = {"staffTimeZone": None, "staff": a_staff(61001, NEW_YORK) | {"timeZoneCode": None}}


def a_row(start: str = "2026-03-06 15:30", minutes: int = 45, zone: str = NEW_YORK, **extras: Any) -> dict[str, Any]:
    """An appointment of Ana's; what is no extra of the simulator's builder changes the finished row."""
    known = {name: extras.pop(name) for name in ("client_zone", "client_pair", "series") if name in extras}
    return {**an_appointment_row(70000001, datetime.fromisoformat(start), minutes, zone, **known), **extras}


def parsed(row: dict[str, Any]) -> AppointmentRow:
    return AppointmentRow.model_validate(row)


def mapped(row: dict[str, Any], **context: Any) -> Event:
    return to_canonical(parsed(row), Context(**context))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def noted(event: Event) -> list[str]:
    return [note for note in event.notes if note.startswith(DISAGREEMENT)]


def test_a_full_appointment_maps_field_by_field() -> None:
    event = mapped(a_row())
    assert event.source_id == "70000001"
    assert (event.status, event.lifecycle, event.exempt) == ("OPEN", Lifecycle.LIVE, "")
    assert (event.start, event.end) == (utc("2026-03-06 20:30"), utc("2026-03-06 21:15"))
    assert event.zone == NEW_YORK
    assert event.title == "Venue tour – Ana Lopez"
    assert (event.location, event.content) == ("Main hall", "")
    [guest] = event.participants
    assert (guest.name, guest.email, guest.phone) == ("Ana Lopez", "ana.lopez.5001@example.com", "+16175550101")
    assert guest.role is Role.CLIENT
    assert event.facets == {
        "services": {"88001", "venue tour", "tour-45"},
        "staff": {"61001", "m. hall", "mhall"},
        "locations": {"41001", "main hall"},
        "reason_types": {"service"},
    }
    assert event.custom == {"source": "timetap", "status": "OPEN", "service": "Venue tour", "staff": "M. Hall", "reason_type": "SERVICE"}
    assert (event.group, event.notes) == ("70000001", ())


@pytest.mark.parametrize(
    "shape",
    [
        {"utc_fields": False},
        {"staff_time_zone": False},
        {"staff_zone_object": False},
        {"utc_fields": False, "staff_time_zone": False},
        {"legacy_zones": True},
        {"legacy_zones": True, "utc_fields": False, "staff_time_zone": False},
        {"null_fields": True},
        {"spelling": Spelling.WEBHOOK},
        {"spelling": Spelling.WEBHOOK_OLD},
    ],
)
def test_no_shape_of_a_row_changes_the_event(shape: dict[str, Any]) -> None:
    """Whatever a row leaves out or writes in another way, an event with the same content comes of it."""
    event, plain = mapped(dress(a_row(), TimeTapSettings(**shape))), mapped(a_row())
    assert (event.start, event.end, event.zone, event.title, event.facets) == (
        plain.start,
        plain.end,
        plain.zone,
        plain.title,
        plain.facets,
    )
    assert event.notes == ()


# --- which instant ---


def test_the_utc_field_comes_before_the_staff_clock_and_a_disagreement_is_noted() -> None:
    event = mapped(a_row(startTime=1500, endTime=1545))
    assert event.start == utc("2026-03-06 20:30")
    assert len(noted(event)) == 2
    assert any("startDate and startTime" in note for note in noted(event))


def test_a_utc_field_without_offset_is_not_believed() -> None:
    event = mapped(a_row(startDateTimeUTC="2026-03-06T15:30:00"))
    assert event.start == utc("2026-03-06 20:30")
    assert "startDateTimeUTC names no offset and was not used" in event.notes


def test_a_utc_field_with_an_offset_is_an_instant() -> None:
    assert mapped(a_row(startDateTimeUTC="2026-03-06T15:30:00-05:00")).start == utc("2026-03-06 20:30")


def test_an_unreadable_utc_field_falls_back_to_the_staff_clock_with_a_note() -> None:
    event = mapped(a_row(startDateTimeUTC="soon"))
    assert event.start == utc("2026-03-06 20:30")
    assert "startDateTimeUTC cannot be read" in event.notes


def test_the_client_clock_never_decides_but_is_compared() -> None:
    """Who books by API often fills the client's pair with the staff member's time."""
    agreeing = mapped(a_row(client_zone=LONDON, **NO_UTC))
    wrong = mapped(a_row(client_zone=LONDON, client_pair=ClientPair.STAFF_CLOCK, **NO_UTC))
    assert agreeing.start == wrong.start == utc("2026-03-06 20:30")
    assert noted(agreeing) == []
    assert len(noted(wrong)) == 2
    assert all("the client's" in note for note in noted(wrong))


@pytest.mark.parametrize(
    "odd", [{"clientTimeZone": None}, {"clientTimeZone": "Atlantis"}, {"clientStartTime": None, "clientEndTime": None}]
)
def test_a_client_clock_that_says_nothing_disagrees_with_nothing(odd: dict[str, Any]) -> None:
    assert noted(mapped(a_row(client_zone=LONDON, client_pair=ClientPair.STAFF_CLOCK) | odd)) == []


def test_the_client_clock_alone_is_no_time() -> None:
    with pytest.raises(MappingError, match="no start"):
        mapped(a_row(startTime=None, **NO_UTC))


@pytest.mark.parametrize(("clock", "start"), [(0, "05:00"), (30, "05:30"), (800, "13:00"), (1430, "19:30")])
def test_clocks_are_integers_without_leading_zeros(clock: int, start: str) -> None:
    event = mapped(a_row(startTime=clock, endTime=1500, **NO_UTC))
    assert event.start == utc(f"2026-03-06 {start}")


def test_a_clock_that_is_none_is_no_time() -> None:
    with pytest.raises(MappingError, match="no start"):
        mapped(a_row(startTime=2460, **NO_UTC))


def test_an_appointment_may_cross_midnight() -> None:
    event = mapped(a_row("2026-12-01 23:30", 90, **NO_UTC))
    assert (event.start, event.end) == (utc("2026-12-02 04:30"), utc("2026-12-02 06:00"))


def test_an_appointment_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(MappingError, match="before it starts") as caught:
        mapped(a_row(endTime=30, endDate="2026-03-06", **NO_UTC))
    assert caught.value.remedy


def test_an_appointment_without_length_is_noted() -> None:
    assert "the appointment ends when it starts" in mapped(a_row(minutes=0)).notes


def test_a_time_in_a_gap_is_read_with_the_offset_before_and_flagged() -> None:
    event = mapped(a_row("2026-03-08 02:30", **NO_UTC))
    assert event.start == utc("2026-03-08 07:30")
    assert any("the clocks skipped" in note for note in event.notes)


def test_a_time_in_a_fold_is_the_first_one_and_flagged() -> None:
    event = mapped(a_row("2026-11-01 01:10", 30, **NO_UTC))
    assert (event.start, event.end) == (utc("2026-11-01 05:10"), utc("2026-11-01 05:40"))
    assert any("showed twice" in note for note in event.notes)


def test_an_end_in_a_fold_is_the_second_one_where_the_first_lies_before_the_start() -> None:
    """From 01:30 in summer time to 01:15 in standard time."""
    event = mapped(a_row("2026-11-01 01:30", 45, **NO_UTC))
    assert (event.start, event.end) == (utc("2026-11-01 05:30"), utc("2026-11-01 06:15"))


def test_the_utc_field_may_mean_either_time_of_a_fold() -> None:
    second = an_appointment_row(70000001, datetime.fromisoformat("2026-11-01 01:30").replace(fold=1), 30, NEW_YORK)
    event = mapped(second)
    assert (event.start, event.notes) == (utc("2026-11-01 06:30"), ())


def test_vancouver_keeps_its_new_clock() -> None:
    assert mapped(a_row("2026-12-15 15:00", zone="America/Vancouver", **NO_UTC)).start == utc("2026-12-15 22:00")


def test_the_day_of_the_report_is_the_staff_s_day() -> None:
    assert str(start_day(parsed(a_row("2026-12-01 23:30")))) == "2026-12-01"
    assert start_day(parsed(a_row(startDate=None))) is None
    assert start_day(parsed(a_row(startDate="soon"))) is None


# --- which zone ---


def test_the_row_s_zone_comes_before_the_staff_s() -> None:
    staff = a_staff(61001, "America/Denver")
    assert mapped(a_row(staff=staff)).zone == NEW_YORK
    assert mapped(a_row(staff=staff, staffTimeZone=None)).zone == "America/Denver"


def test_the_staff_s_record_is_asked_for_only_where_the_row_names_no_zone() -> None:
    assert not lacks_zone(parsed(a_row()), Context())
    assert not lacks_zone(parsed(a_row(staffTimeZone=None)), Context())
    assert lacks_zone(parsed(a_row(**NO_ZONE)), Context())
    assert lacks_zone(parsed(a_row(**NO_ZONE)), Context(staff_zones={"61001": NEW_YORK}))
    assert not lacks_zone(parsed(a_row(**NO_ZONE)), Context(zones={"staff:61001": NEW_YORK}))
    assert not lacks_zone(parsed(a_row(**NO_ZONE, client=None)), Context())
    assert not lacks_zone(parsed(a_row(staffTimeZone=None, staff=None)), Context())


def test_the_staff_s_record_names_the_zone() -> None:
    event = mapped(a_row(**NO_ZONE, **NO_UTC), staff_zones={"61001": "US/Eastern"})
    assert (event.start, event.zone) == (utc("2026-03-06 20:30"), NEW_YORK)


def test_an_unknown_zone_name_gives_way_to_the_next_with_a_note() -> None:
    event = mapped(a_row(staffTimeZone="Atlantis"))
    assert event.zone == NEW_YORK
    assert "staffTimeZone is no time zone this release knows" in event.notes


@pytest.mark.parametrize("times", [{}, NO_UTC])
def test_an_appointment_in_no_zone_is_refused_with_the_line_that_mends_it(times: dict[str, Any]) -> None:
    """Even where the instant is known: the guest is told a wall clock. The client's zone is not the place's."""
    with pytest.raises(MappingError) as caught:
        mapped(a_row(**NO_ZONE, **times))
    assert 'zones = { "staff:61001"' in caught.value.remedy
    with pytest.raises(MappingError) as caught:
        mapped(a_row(staffTimeZone=None, staff=None, **times))
    assert 'zones = { "location:41001"' in caught.value.remedy


@pytest.mark.parametrize("key", ["staff:61001", "location:41001"])
def test_a_zone_in_the_config_makes_the_staff_clock_win(key: str) -> None:
    event = mapped(a_row(), zones={key: "America/Chicago"})
    assert (event.start, event.zone) == (utc("2026-03-06 21:30"), "America/Chicago")
    assert any("startDateTimeUTC" in note for note in noted(event))
    assert any(f"the config's zones for {key}" in line for line in event.reasoning)


def test_the_staff_s_zone_in_the_config_goes_before_the_location_s() -> None:
    zones = {"location:41001": "America/Denver", "staff:61001": "America/Chicago"}
    assert mapped(a_row(), zones=zones).zone == "America/Chicago"


def test_a_zone_in_the_config_leaves_a_row_without_staff_clock_to_its_utc_field() -> None:
    assert mapped(a_row(startTime=None), zones={"staff:61001": "America/Chicago"}).start == utc("2026-03-06 20:30")


def test_the_zone_alone_can_be_asked_for() -> None:
    assert zone_of(parsed(a_row(staffTimeZone="US/Eastern")), Context()) == NEW_YORK
    assert zone_of(parsed(a_row(**NO_ZONE)), Context()) is None


# --- status, and whose booking it is ---


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [
        ("OPEN", Lifecycle.LIVE),
        ("PENDING", Lifecycle.LIVE),
        ("COMPLETED", Lifecycle.LIVE),
        ("PENDING_CONFIRMATION", Lifecycle.LIVE),
        ("PENDING_WAITLIST", Lifecycle.LIVE),
        ("CONFIRMED", Lifecycle.UNKNOWN),
        ("CHECKEDIN", Lifecycle.UNKNOWN),
        ("INPROGRESS", Lifecycle.UNKNOWN),
        ("CANCELLED", Lifecycle.CANCELLED),
        ("NO_SHOW", Lifecycle.KEPT),
        ("RESCHEDULED", Lifecycle.UNKNOWN),
        ("open", Lifecycle.LIVE),
        ("", Lifecycle.UNKNOWN),
    ],
)
def test_statuses_and_what_they_mean(status: str, lifecycle: Lifecycle) -> None:
    event = mapped(a_row(status=status))
    assert (event.status, event.lifecycle) == (status.upper(), lifecycle)
    assert bool(event.notes) is (lifecycle is Lifecycle.UNKNOWN)


def test_the_sub_status_decides_nothing() -> None:
    assert mapped(a_row(subStatus="CANCELLED")).lifecycle is Lifecycle.LIVE


def test_the_config_knows_the_same_statuses() -> None:
    assert set(STATUSES) == set(CONFIGURED_STATUSES)


@pytest.mark.parametrize("client", [None, {}, {"clientId": None, "fullName": " "}])
def test_a_row_without_client_is_nobody_s_booking(client: object) -> None:
    event = mapped(a_row(client=client))
    assert (event.exempt, event.participants) == (NO_CLIENT, ())
    assert event.start == utc("2026-03-06 20:30")


@pytest.mark.parametrize("change", [{"client": None}, {"status": "CANCELLED"}])
def test_what_will_never_be_sent_needs_neither_zone_nor_time(change: dict[str, Any]) -> None:
    """Time off is to be skipped, and a cancellation obeyed, rather than quarantined for their zones."""
    assert mapped(a_row(**NO_ZONE) | change).start == utc("2026-03-06 20:30")
    assert mapped(a_row(**NO_ZONE, **NO_UTC) | change).start.date().isoformat() == "2026-03-06"
    assert mapped(a_row(**NO_ZONE, **NO_UTC) | change | {"startDate": None}).start.year == 1970
    assert mapped(a_row(startDateTimeUTC="soon", startTime=2460) | change).start.year == 1970


def test_each_attendee_of_a_class_is_an_event_and_a_session_is_one_booking() -> None:
    yoga = a_reason(88004, "Morning yoga", 60, kind="CLASS")
    one, two = mapped(a_row(reason=yoga)), mapped(a_row(reason=yoga, calendarId=70000002))
    later = mapped(a_row("2026-03-13 15:30", reason=yoga))
    assert one.source_id != two.source_id
    assert one.group == two.group != later.group
    assert one.facets["reason_types"] == {"class"}


def test_a_series_is_one_booking() -> None:
    assert mapped(a_row(series=64001)).group == "series-64001"
    assert mapped(a_row(series=0)).group == "70000001"


# --- texts and people ---


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"reason": a_reason(1, "Venue tour", 45) | {"reasonDesc": None, "internalDisplayName": "Tour"}}, "Tour – Ana Lopez"),
        ({"reason": a_reason(1, "x", 45) | {"reasonDesc": "", "internalDisplayName": None, "internalName": "t-45"}}, "t-45 – Ana Lopez"),
        ({"reason": None}, "Ana Lopez"),
        ({"client": ANA | {"fullName": None}}, "Venue tour – Ana Lopez"),
        ({"client": ANA | {"fullName": None, "lastName": None}}, "Venue tour – Ana"),
        ({"client": ANA | {"fullName": None, "lastName": None, "firstName": None}}, "Venue tour"),
        ({"reason": a_reason(1, "Tour <b>&amp; talk</b>", 45)}, "Tour & talk – Ana Lopez"),
    ],
)
def test_the_title_is_the_service_and_the_client(change: dict[str, Any], title: str) -> None:
    assert mapped(a_row(**change)).title == title


def test_what_is_missing_around_an_appointment_is_empty() -> None:
    event = mapped(a_row(location=None, reason=None, staff=None))
    assert event.location == ""
    assert event.facets == {"services": set(), "staff": set(), "locations": set(), "reason_types": set()}
    assert event.custom == {"source": "timetap", "status": "OPEN"}
    assert mapped(a_row(location=a_location(41001, ""))).location == ""


def test_the_note_stays_with_the_staff() -> None:
    assert "gate B" not in repr(mapped(a_row(note="gate B")))


def test_the_cell_phone_comes_before_the_home_phone() -> None:
    both = ANA | {"homePhone": "212-555-0147"}
    assert mapped(a_row(client=both)).participants[0].phone == "+16175550101"
    assert mapped(a_row(client=both | {"cellPhone": None})).participants[0].phone == "+12125550147"


def test_a_number_that_is_not_valid_is_left_out_with_a_note() -> None:
    event = mapped(a_row(client=ANA | {"cellPhone": "555-0100"}))
    assert event.participants[0].phone is None
    assert any("not valid in US" in note for note in event.notes)
    assert not any("555" in note for note in event.notes)


def test_numbers_are_read_in_the_pipeline_s_region() -> None:
    client = ANA | {"cellPhone": "020 7946 0018"}
    assert mapped(a_row(client=client), region="GB").participants[0].phone == "+442079460018"


def test_staff_take_part_where_the_pipeline_wants_them() -> None:
    both = mapped(a_row(), people=frozenset({Role.CLIENT, Role.STAFF})).participants
    assert [(who.role, who.email, who.phone) for who in both[1:]] == [(Role.STAFF, "mhall@example.org", None)]
    [staff] = mapped(a_row(), people=frozenset({Role.STAFF})).participants
    assert (staff.role, staff.name) == (Role.STAFF, "M. Hall")


def test_a_staff_member_who_is_the_client_is_messaged_once() -> None:
    client = ANA | {"emailAddress": "MHall@example.org"}
    event = mapped(a_row(client=client), people=frozenset({Role.CLIENT, Role.STAFF}))
    assert [who.role for who in event.participants] == [Role.CLIENT]


def test_the_reasoning_tells_the_way_to_the_event() -> None:
    told = "\n".join(mapped(a_row()).reasoning)
    for part in (
        "lifecycle: live",
        "zone: America/New_York, from staffTimeZone",
        "start: 2026-03-06T20:30:00+00:00",
        "participants: client",
    ):
        assert part in told


_SCALARS = (
    st.none() | st.booleans() | st.integers(-10, 10_000) | st.text(max_size=12) | st.sampled_from(["2026-03-06", NEW_YORK, "CANCELLED"])
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2), max_leaves=4
)


@settings(deadline=None)
@given(changes=st.dictionaries(st.sampled_from([key for key in a_row() if key != "calendarId"]), _VALUES, max_size=8))
def test_any_row_with_an_id_maps_or_is_a_mapping_error(changes: dict[str, Any]) -> None:
    try:
        event = mapped({**a_row(), **changes})
    except MappingError:
        return
    assert event.start.utcoffset() == event.end.utcoffset() == timedelta()
    assert event.start <= event.end
