"""What Tripleseat's rows become: each surprise of the vendor page, and each rule that a field obeys."""

from datetime import UTC, datetime
from typing import Any

import pytest

from calrelay.domain.event import Event, Lifecycle
from calrelay.domain.people import Role
from calrelay.domain.readings import DISAGREEMENT
from calrelay.errors import MappingError
from calrelay.simulators.tripleseat.places import HARBOUR_HOUSE
from calrelay.simulators.tripleseat.rows import Row, an_event_row
from calrelay.simulators.tripleseat.variants import Variant, vary
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.mapping import to_canonical
from calrelay.vendors.tripleseat.wire import EventPage, EventRow, OneEvent, Sites, id_of


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


START, END = wall("2026-03-09 18:00"), wall("2026-03-09 21:30")
SITES = {"1501": "Eastern Time (US & Canada)", "1502": "America/Vancouver"}


def a_row(*variants: Variant, start: datetime = START, end: datetime = END, **changes: Any) -> Row:
    row = an_event_row(61234567, start, end)
    for variant in variants:
        vary(row, variant)
    return {**row, **changes}


def mapped(row: Row, **context: Any) -> Event:
    return to_canonical(EventRow.model_validate(row), Context(**{"site_zones": SITES, **context}))


def contact(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "first_name": "Cy", "last_name": "Dun", "email_addresses": [], "phone_numbers": [], **changes}


def number(text: str, kind: str | None = "Mobile") -> dict[str, Any]:
    return {"number": text, "phone_number_type": kind, "extension": ""}


def test_a_full_event_maps_field_by_field() -> None:
    event = mapped(a_row())
    assert event.source_id == "61234567"
    assert (event.status, event.lifecycle) == ("DEFINITE", Lifecycle.LIVE)
    assert (event.start, event.end) == (datetime(2026, 3, 9, 22, tzinfo=UTC), datetime(2026, 3, 10, 1, 30, tzinfo=UTC))
    assert event.zone == "America/New_York"
    assert event.title == "Alder Team Dinner"
    assert event.location == "Alder House, Main Hall"
    [guest] = event.participants
    assert (guest.name, guest.email, guest.phone, guest.role) == ("Cy Dun", "cy.dun@example.com", "+12125550147", Role.CONTACT)
    assert event.facets == {
        "event_types": {"corporate"},
        "locations": {"2601", "alder house"},
        "rooms": {"90001", "main hall"},
    }
    assert event.custom == {
        "source": "tripleseat",
        "status": "DEFINITE",
        "event_type": "Corporate",
        "guest_count": "42",
        "account": "Alder LLC",
        "booking_id": "4634567",
    }
    assert event.group == "4634567"
    assert event.notes == ()


@pytest.mark.parametrize("variant", [v for v in Variant if v not in (Variant.UTC_DISAGREES, Variant.NO_TIMES)])
def test_no_odd_shape_of_a_row_moves_the_event(variant: Variant) -> None:
    """Whatever a row leaves out or writes in another way, the event stays at its instant and in its zone."""
    event = mapped(a_row(variant))
    assert (event.start, event.end, event.zone) == (mapped(a_row()).start, mapped(a_row()).end, "America/New_York")
    assert not any(DISAGREEMENT in note for note in event.notes)


def test_the_utc_field_wins_and_a_disagreement_is_noted() -> None:
    event = mapped(a_row(Variant.UTC_DISAGREES))
    assert event.start == datetime(2026, 3, 9, 23, tzinfo=UTC)
    noted = [note for note in event.notes if note.startswith(DISAGREEMENT)]
    assert any("event_start_iso8601" in note for note in noted)
    assert len(noted) == 4  # start and end, against the offset field and the wall clock


def test_the_offset_field_comes_before_the_wall_clock() -> None:
    row = a_row(Variant.NO_UTC, event_start="3/9/2026 5:00 PM")
    event = mapped(row)
    assert event.start == datetime(2026, 3, 9, 22, tzinfo=UTC)
    assert any(DISAGREEMENT in note for note in event.notes)


def test_a_zone_in_the_config_makes_the_wall_clock_win() -> None:
    """A venue in Vancouver under a US name: the vendor's instants are an hour off in winter, what the venue typed is right (rule 5)."""
    row = an_event_row(
        1, wall("2026-12-15 18:00"), wall("2026-12-15 22:00"), location=HARBOUR_HOUSE, event_timezone="Pacific Time (US & Canada)"
    )
    row.update(event_start_utc="2026-12-16T02:00:00Z", event_start_iso8601="2026-12-15T18:00:00-08:00")
    row.update(event_end_utc="2026-12-16T06:00:00Z", event_end_iso8601="2026-12-15T22:00:00-08:00")
    assert mapped(row).start == datetime(2026, 12, 16, 2, tzinfo=UTC)
    event = mapped(row, zones={"location:2602": "America/Vancouver"})
    assert (event.start, event.zone) == (datetime(2026, 12, 16, 1, tzinfo=UTC), "America/Vancouver")
    assert any(DISAGREEMENT in note for note in event.notes)
    assert any("the config's zones for location:2602" in line for line in event.reasoning)


def test_the_location_s_zone_in_the_config_goes_before_the_site_s() -> None:
    zones = {"site:1501": "America/Chicago", "location:2601": "America/Denver"}
    assert mapped(a_row(), zones=zones).zone == "America/Denver"
    assert mapped(a_row(), zones={"site:1501": "America/Chicago"}).zone == "America/Chicago"


def test_a_config_zone_reads_the_offset_field_as_wall_clock_where_nothing_else_is_told() -> None:
    row = a_row(event_start=None, start_time=None)
    assert mapped(row, zones={"site:1501": "America/Chicago"}).start == datetime(2026, 3, 9, 23, tzinfo=UTC)


def test_the_site_s_zone_is_used_where_the_row_names_none() -> None:
    event = mapped(a_row(Variant.NO_ZONE, Variant.WALL_CLOCK_ONLY))
    assert (event.start, event.zone) == (datetime(2026, 3, 9, 22, tzinfo=UTC), "America/New_York")


def test_the_only_site_s_zone_is_used_where_the_row_names_no_site() -> None:
    row = a_row(Variant.NO_ZONE, site_id=None, location=None)
    assert mapped(row, site_zones={"1501": "London"}).zone == "Europe/London"


def test_an_unknown_zone_name_falls_back_to_the_site_with_a_note() -> None:
    event = mapped(a_row(event_timezone="Middle-earth Standard Time"))
    assert event.zone == "America/New_York"
    assert any("event_timezone" in note for note in event.notes)


def test_an_event_in_no_zone_is_refused_with_the_line_that_mends_it() -> None:
    with pytest.raises(MappingError) as caught:
        mapped(a_row(Variant.NO_ZONE), site_zones={})
    assert 'zones = { "site:1501"' in caught.value.remedy


def test_an_event_without_any_time_is_refused() -> None:
    with pytest.raises(MappingError, match="no start"):
        mapped(a_row(Variant.NO_TIMES))


def test_a_date_without_a_time_of_day_is_no_start() -> None:
    """Midnight would be a time that nobody booked."""
    with pytest.raises(MappingError, match="no start"):
        mapped(a_row(Variant.WALL_CLOCK_ONLY, event_start="3/9/2026", start_time=None))


def test_an_unreadable_field_is_noted_and_the_next_one_decides() -> None:
    event = mapped(a_row(event_start_utc="soon"))
    assert event.start == datetime(2026, 3, 9, 22, tzinfo=UTC)
    assert "event_start_utc cannot be read" in event.notes


def test_a_start_in_the_gap_is_flagged() -> None:
    row = a_row(Variant.WALL_CLOCK_ONLY, start=wall("2026-03-08 02:30"), end=wall("2026-03-08 05:00"))
    event = mapped(row)
    assert event.start == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert any("skipped" in note for note in event.notes)


def test_a_start_in_the_fold_is_the_first_one_and_flagged() -> None:
    row = a_row(Variant.WALL_CLOCK_ONLY, start=wall("2026-11-01 01:30"), end=wall("2026-11-01 05:00"))
    event = mapped(row)
    assert event.start == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert any("twice" in note for note in event.notes)


def test_a_wall_clock_in_the_fold_agrees_with_either_occurrence() -> None:
    row = a_row(start=wall("2026-11-01 01:30"), end=wall("2026-11-01 05:00"))
    row.update(event_start_utc="2026-11-01T06:30:00Z", event_start_iso8601="2026-11-01T01:30:00-05:00")
    event = mapped(row)
    assert event.start == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert not any(DISAGREEMENT in note for note in event.notes)


def test_an_event_over_midnight_ends_on_the_next_day() -> None:
    event = mapped(a_row(start=wall("2026-06-06 20:00"), end=wall("2026-06-07 02:00")))
    assert event.end == datetime(2026, 6, 7, 6, tzinfo=UTC)


def test_an_end_before_the_start_is_refused_with_a_remedy() -> None:
    with pytest.raises(MappingError, match="before it starts") as caught:
        mapped(a_row(end=wall("2026-03-09 01:00")))
    assert "midnight" in caught.value.remedy


def test_a_lost_event_is_cancelled_whatever_its_end_says() -> None:
    event = mapped(a_row(end=wall("2026-03-09 01:00"), status="LOST"))
    assert event.lifecycle is Lifecycle.CANCELLED
    assert event.end == event.start


def test_more_than_a_day_is_noted() -> None:
    event = mapped(a_row(end=wall("2026-03-11 01:00")))
    assert any("24 hours" in note for note in event.notes)


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [
        ("definite", Lifecycle.LIVE),
        ("CLOSED", Lifecycle.LIVE),
        ("Tentative", Lifecycle.LIVE),
        ("PROSPECT", Lifecycle.LIVE),
        ("WAITLIST", Lifecycle.LIVE),
        ("lost", Lifecycle.CANCELLED),
        ("ON_HOLD_NEW", Lifecycle.UNKNOWN),
        (None, Lifecycle.UNKNOWN),
        ({"id": 3, "name": "Definite"}, Lifecycle.LIVE),
    ],
)
def test_a_status_is_upper_case_and_says_whether_it_takes_place(status: object, lifecycle: Lifecycle) -> None:
    event = mapped(a_row(status=status))
    assert event.lifecycle is lifecycle
    assert event.status == event.status.upper()


def test_an_unknown_status_is_noted() -> None:
    assert any("status" in note for note in mapped(a_row(status="ON_HOLD_NEW")).notes)


def test_a_deleted_event_is_cancelled_whatever_its_status() -> None:
    assert mapped(a_row(deleted_at="3/1/2026 9:00 AM")).lifecycle is Lifecycle.CANCELLED


def test_html_in_names_becomes_plain_text() -> None:
    event = mapped(a_row(Variant.HTML_IN_NAME))
    assert event.title == "Alder Team Dinner & friends"
    assert event.content == "Doors at six.\nBring nothing."


def test_post_as_stands_in_for_a_missing_name() -> None:
    assert mapped(a_row(name=None)).title == "ALDER TEAM DINNER"


def test_rooms_are_trimmed_and_their_order_is_no_change() -> None:
    rooms = [{"id": 90003, "name": "Cellar "}, {"id": 90002, "name": "Terrace"}, {"id": 5, "name": "Unassigned", "is_unassigned": True}]
    one, other = mapped(a_row(rooms=rooms)), mapped(a_row(rooms=rooms[::-1]))
    assert one.location == other.location == "Alder House, Cellar, Terrace"
    assert one.facets["rooms"] == {"90003", "cellar", "90002", "terrace", "5", "unassigned"}


def test_a_single_room_object_is_a_list_of_one() -> None:
    assert mapped(a_row(Variant.ROOMS_AS_OBJECT)).location == "Alder House, Main Hall"


def test_a_location_may_be_a_mere_name() -> None:
    assert mapped(a_row(location="Alder House")).facets["locations"] == {"2601", "alder house"}


def test_the_account_is_found_under_the_booking_too() -> None:
    assert mapped(a_row(Variant.ACCOUNT_IN_BOOKING)).custom["account"] == "Alder LLC"


@pytest.mark.parametrize(("count", "guaranteed", "shown"), [(42, 40, "42"), (None, 40, "40"), ("42", None, "42"), (0, 40, "0")])
def test_guests_are_counted_from_either_field(count: object, guaranteed: object, shown: str) -> None:
    assert mapped(a_row(guest_count=count, guaranteed_guest_count=guaranteed)).custom["guest_count"] == shown


def test_unknown_guest_counts_are_left_out() -> None:
    assert "guest_count" not in mapped(a_row(Variant.NULL_GUEST_COUNTS)).custom


def test_phones_go_by_type_and_faxes_are_never_called() -> None:
    phones = [
        number("212-555-0101", "Fax"),
        number("212-555-0102", "Work"),
        number("212-555-0103", "Main"),
        number("212-555-0104", "Pager"),
    ]
    [guest] = mapped(a_row(contact=contact(phone_numbers=phones))).participants
    assert guest.phone == "+12125550103"


def test_a_fax_alone_reaches_nobody() -> None:
    [guest] = mapped(a_row(contact=contact(phone_numbers=[number("212-555-0101", "Fax")]))).participants
    assert not guest.is_reachable


def test_a_number_without_a_known_type_is_the_last_resort() -> None:
    phones = [number("212-555-0101", None), number("212-555-0102", "Home")]
    [guest] = mapped(a_row(contact=contact(phone_numbers=phones))).participants
    assert guest.phone == "+12125550102"


def test_an_invalid_number_is_dropped_with_a_note_that_does_not_quote_it() -> None:
    event = mapped(a_row(contact=contact(phone_numbers=[number("555-0100")])))
    assert event.participants[0].phone is None
    assert event.notes
    assert not any("0100" in note for note in event.notes)


def test_the_region_reads_numbers_without_a_country_code() -> None:
    person = contact(phone_numbers=[number("212-555-0147")])
    assert mapped(a_row(contact=person), region="CA").participants[0].phone == "+12125550147"
    assert mapped(a_row(contact=person), region="GB").participants[0].phone is None


def test_only_the_wanted_people_take_part() -> None:
    other = contact(first_name="Bo", email_addresses=[{"address": "bo@example.com"}])
    row = a_row(secondary_contacts=[other])
    assert [who.role for who in mapped(row).participants] == [Role.CONTACT]
    everybody = mapped(row, people=frozenset({Role.CONTACT, Role.SECONDARY_CONTACT, Role.OWNER}))
    assert [(who.name, who.email) for who in everybody.participants] == [
        ("Cy Dun", "cy.dun@example.com"),
        ("Bo Dun", "bo@example.com"),
        ("Ada Bell", "ada@example.com"),
    ]


def test_nobody_is_messaged_twice() -> None:
    """A secondary contact who shares the contact's number keeps only the address of their own; one who is the contact again is left out."""
    phone = number("212-555-0147")
    same = contact(phone_numbers=[phone])
    spouse = contact(first_name="Bo", email_addresses=[{"address": "bo@example.com"}], phone_numbers=[phone])
    event = mapped(a_row(secondary_contacts=[same, spouse]), people=frozenset({Role.CONTACT, Role.SECONDARY_CONTACT}))
    assert [(who.name, who.phone) for who in event.participants] == [("Cy Dun", "+12125550147"), ("Bo Dun", None)]


def test_no_contact_is_nobody() -> None:
    assert mapped(a_row(Variant.NO_CONTACT)).participants == ()


def test_the_reasoning_tells_zone_instants_and_lifecycle() -> None:
    reasoning = "\n".join(mapped(a_row()).reasoning)
    for part in (
        "lifecycle: live",
        "zone: America/New_York, from event_timezone",
        "start: 2026-03-09T22:00:00+00:00, from event_start_utc",
    ):
        assert part in reasoning


def test_reasoning_and_notes_name_nobody() -> None:
    event = mapped(a_row(Variant.UTC_DISAGREES))
    told = "\n".join((*event.notes, *event.reasoning))
    assert not any(secret in told for secret in ("Cy", "Dun", "0147", "example.com", "Alder Team"))


@pytest.mark.parametrize("wrapped", [True, False])
def test_one_event_is_read_with_and_without_its_envelope(wrapped: bool) -> None:
    row = a_row()
    assert OneEvent.model_validate({"event": row} if wrapped else row).root.id == "61234567"


def test_a_page_keeps_rows_that_cannot_be_read() -> None:
    page = EventPage.model_validate({"total_pages": 1, "results": [a_row(), {"id": None}, 5, {"event": {"id": "7"}}]})
    assert [id_of(item) for item in page.results] == ["61234567", None, None, "7"]


@pytest.mark.parametrize("value", [[{"site": {"id": 1, "timezone": "London"}}], {"results": [{"id": 1, "timezone": "London"}]}])
def test_sites_come_as_a_bare_array_or_as_results(value: object) -> None:
    assert [site.timezone for site in Sites.model_validate(value).root] == ["London"]


@pytest.mark.parametrize("odd", [None, [], {}, True, 7, "text", [None], [[1]], {"name": None}, {"name": {"name": "x"}}])
def test_no_odd_value_in_any_field_costs_the_row(odd: object) -> None:
    """Only the id is indispensable; every other field takes anything JSON can hold."""
    for field in set(EventRow.model_fields) - {"id"}:
        row = EventRow.model_validate({**a_row(), field: odd})
        try:
            to_canonical(row, Context(site_zones=SITES, people=frozenset(Role)))
        except MappingError:
            continue
