import functools
import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources

import pytest
import pytz

from calrelay.domain import zones
from calrelay.domain.zones import (
    ZONE_DATA_VERSION,
    Resolution,
    Zone,
    abbreviation,
    hhmm,
    offset_at,
    parse_instant,
    parse_wall_clock,
    rails_name,
    resolve_zone,
    to_instant,
    with_offset,
    zone_data_is_old,
)
from calrelay.errors import MappingError

RAILS: dict[str, str] = json.loads(resources.files("calrelay.domain").joinpath("rails_zones.json").read_text("utf-8"))


NOONS = [datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(0, 365 * 8, 2)]


@functools.cache
def clock(zone: str) -> list[timedelta]:
    return [offset_at(noon, Zone(zone)) for noon in NOONS]


def keep_the_same_clock(one: str, other: str) -> bool:
    return one == other or clock(one) == clock(other)


class TestResolveZone:
    @pytest.mark.parametrize(
        ("name", "zone"),
        [
            ("Eastern Time (US & Canada)", "America/New_York"),
            ("  Eastern Time (US & Canada)\n", "America/New_York"),
            ("Eastern Time (US &amp; Canada)", "America/New_York"),
            ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
            ("(GMT+00:00) UTC", "Etc/UTC"),
            ("eastern time (us & canada)", "America/New_York"),
            ("Nuku&#39;alofa", "Pacific/Tongatapu"),
            ("Nuku’alofa", "Pacific/Tongatapu"),
            ("Ulaan Bataar", "Asia/Ulaanbaatar"),
            ("Ulaanbaatar", "Asia/Ulaanbaatar"),
            ("Kyiv", "Europe/Kyiv"),
            ("Samoa", "Pacific/Apia"),
            ("American Samoa", "Pacific/Pago_Pago"),
            ("Astana", "Asia/Almaty"),
            ("International Date Line West", "Etc/GMT+12"),
            ("America/New_York", "America/New_York"),
            ("america/new_york", "America/New_York"),
            ("US/Eastern", "America/New_York"),
            ("US/Central", "America/Chicago"),
            ("US/Mountain", "America/Denver"),
            ("US/Pacific", "America/Los_Angeles"),
            ("US/Arizona", "America/Phoenix"),
            ("US/Alaska", "America/Anchorage"),
            ("US/Hawaii", "Pacific/Honolulu"),
            ("America/Indianapolis", "America/Indiana/Indianapolis"),
            ("America/Yellowknife", "America/Edmonton"),
            ("Asia/Calcutta", "Asia/Kolkata"),
            ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
            ("Europe/Kiev", "Europe/Kyiv"),
            ("EST5EDT", "America/New_York"),
            ("Eastern Standard Time", "America/New_York"),
            ("Argentina Standard Time", "America/Argentina/Buenos_Aires"),
            ("British Columbia Standard Time", "America/Vancouver"),
            ("UTC", "Etc/UTC"),
            ("Etc/UTC", "Etc/UTC"),
            ("Zulu", "Etc/UTC"),
            ("GMT", "Etc/GMT"),
            ("Europe/Stockholm", "Europe/Stockholm"),
        ],
    )
    def test_a_known_spelling_means_its_canonical_zone(self, name: str, zone: str) -> None:
        assert resolve_zone(name) == zone

    @pytest.mark.parametrize(
        "name", ["", "   ", "-05:00", "UTC-05:00", "UTC-08", "GMT+3", "(GMT-05:00)", "PST", "EDT", "PT", "Atlantis/Downtown"]
    )
    def test_offsets_abbreviations_and_nonsense_are_refused_with_a_remedy(self, name: str) -> None:
        with pytest.raises(MappingError) as refusal:
            resolve_zone(name)
        assert "zones" in refusal.value.remedy

    def test_every_accepted_name_gives_a_zone_that_resolves_to_itself(self) -> None:
        """Two spellings of a zone are equal, so a change of spelling can never look like a change of the event."""
        for name in (*RAILS, *pytz.all_timezones):
            zone = resolve_zone(name)
            assert resolve_zone(zone) == zone
            assert zone in pytz.all_timezones_set

    def test_an_alias_keeps_the_clock_of_the_zone_it_becomes(self) -> None:
        assert [name for name in pytz.all_timezones if not keep_the_same_clock(name, resolve_zone(name))] == []

    def test_every_legacy_alias_of_iana_ends_in_a_zone_of_a_country_or_in_etc(self) -> None:
        countries = {zone for zones_of_country in pytz.country_timezones.values() for zone in zones_of_country}
        assert {zone for name in pytz.all_timezones if not (zone := resolve_zone(name)).startswith("Etc/")} <= countries

    def test_names_that_differ_only_in_case_or_underscores_never_mean_different_zones(self) -> None:
        folded: dict[str, set[str]] = {}
        for name in (*RAILS, *pytz.all_timezones):
            folded.setdefault(name.replace("_", " ").casefold(), set()).add(resolve_zone(name))
        assert [name for name, targets in folded.items() if len(targets) > 1] == []

    def test_the_operating_systems_zone_data_is_never_asked(self) -> None:
        """A machine whose zone data is broken or years old resolves and converts as any other."""
        script = (
            "import sys; from datetime import datetime; from calrelay.domain.zones import resolve_zone, to_instant\n"
            "zone = resolve_zone('Canada/Pacific'); print(to_instant(datetime(2026, 12, 15, 12), zone).instant, 'zoneinfo' in sys.modules)"
        )
        environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONTZPATH": "/nowhere", "TZ": "Asia/Tokyo", "TZDIR": "/nowhere"}
        answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert answer.stdout.split()[:2] == ["2026-12-15", "19:00:00+00:00"]


class TestRailsName:
    @pytest.mark.parametrize(
        ("zone", "name"),
        [
            ("America/New_York", "Eastern Time (US & Canada)"),
            ("Europe/London", "London"),
            ("Europe/Moscow", "Moscow"),
            ("Europe/Zurich", "Zurich"),
            ("America/Mexico_City", "Mexico City"),
            ("America/Lima", "Lima"),
            ("Asia/Kolkata", "New Delhi"),
            ("Asia/Karachi", "Karachi"),
            ("Asia/Muscat", "Abu Dhabi"),
            ("Asia/Tokyo", "Tokyo"),
            ("Asia/Bangkok", "Bangkok"),
            ("Asia/Almaty", "Almaty"),
            ("Pacific/Auckland", "Auckland"),
            ("Asia/Shanghai", "Beijing"),
            ("Australia/Sydney", "Sydney"),
            ("Europe/Kyiv", "Kyiv"),
            ("Etc/UTC", "UTC"),
            ("America/Anchorage", "Alaska"),
            ("America/Toronto", "Eastern Time (US & Canada)"),
            ("America/Guayaquil", "Quito"),
            ("America/Cancun", "Bogota"),
            ("Atlantic/Bermuda", "Atlantic Time (Canada)"),
            ("Asia/Ho_Chi_Minh", "Hanoi"),
            ("America/Vancouver", None),
            ("Etc/GMT+8", None),
        ],
    )
    def test_a_zone_has_the_name_the_table_chooses(self, zone: str, name: str | None) -> None:
        assert rails_name(resolve_zone(zone)) == name

    def test_a_name_always_means_the_clock_it_was_given_for(self) -> None:
        for zone in {resolve_zone(name) for name in pytz.all_timezones}:
            if (name := rails_name(zone)) is not None:
                assert keep_the_same_clock(zone, resolve_zone(name)), zone

    def test_every_zone_of_the_rails_table_has_a_name(self) -> None:
        assert [name for name in RAILS if rails_name(resolve_zone(name)) is None] == []

    def test_names_are_canonical_spellings_of_the_table(self) -> None:
        assert {rails_name(resolve_zone(name)) for name in pytz.all_timezones} - {None} <= set(RAILS)

    def test_the_table_has_the_size_its_page_promises(self) -> None:
        assert (len(RAILS), len(set(RAILS.values()))) == (152, 137)


class TestToInstant:
    @pytest.mark.parametrize(
        ("zone", "wall", "instant", "flag"),
        [
            ("America/New_York", "2026-07-01T12:00", "2026-07-01T16:00Z", Resolution.EXACT),
            ("America/New_York", "2026-03-08T01:59:59", "2026-03-08T06:59:59Z", Resolution.EXACT),
            ("America/New_York", "2026-03-08T02:00", "2026-03-08T07:00Z", Resolution.GAP),
            ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:30Z", Resolution.GAP),
            ("America/New_York", "2026-03-08T03:00", "2026-03-08T07:00Z", Resolution.EXACT),
            ("America/New_York", "2026-11-01T00:59", "2026-11-01T04:59Z", Resolution.EXACT),
            ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30Z", Resolution.FOLD),
            ("America/New_York", "2026-11-01T02:00", "2026-11-01T07:00Z", Resolution.EXACT),
            # Canada in 2026: no falling back, so nothing is shown twice and winter is an hour earlier in UTC.
            ("America/Vancouver", "2026-12-15T12:00", "2026-12-15T19:00Z", Resolution.EXACT),
            ("America/Vancouver", "2026-11-01T01:30", "2026-11-01T08:30Z", Resolution.EXACT),
            ("America/Edmonton", "2026-12-15T12:00", "2026-12-15T18:00Z", Resolution.EXACT),
            ("America/Winnipeg", "2026-12-15T12:00", "2026-12-15T17:00Z", Resolution.EXACT),
            # Dublin's summer time is the standard and its winter the negative saving.
            ("Europe/Dublin", "2026-03-29T01:30", "2026-03-29T01:30Z", Resolution.GAP),
            ("Europe/Dublin", "2026-10-25T01:30", "2026-10-25T00:30Z", Resolution.FOLD),
            # Lord Howe jumps by half an hour.
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45Z", Resolution.GAP),
            ("Australia/Lord_Howe", "2026-10-04T02:30", "2026-10-03T15:30Z", Resolution.EXACT),
            ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z", Resolution.FOLD),
            # Casablanca turns its clock back for Ramadan.
            ("Africa/Casablanca", "2025-02-23T02:30", "2025-02-23T01:30Z", Resolution.FOLD),
            ("Africa/Casablanca", "2025-04-06T02:30", "2025-04-06T02:30Z", Resolution.GAP),
            # Pyongyang changed its standard time, without any daylight saving.
            ("Asia/Pyongyang", "2015-08-14T23:45", "2015-08-14T14:45Z", Resolution.FOLD),
            ("Asia/Pyongyang", "2018-05-04T23:45", "2018-05-04T15:15Z", Resolution.GAP),
            # Samoa and Kwajalein skipped a whole day.
            ("Pacific/Apia", "2011-12-29T23:59", "2011-12-30T09:59Z", Resolution.EXACT),
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00Z", Resolution.GAP),
            ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00Z", Resolution.EXACT),
            # Almaty went from +6 to +5 for good.
            ("Asia/Almaty", "2024-02-29T23:30", "2024-02-29T17:30Z", Resolution.FOLD),
            ("Asia/Kolkata", "2026-01-01T00:00", "2025-12-31T18:30Z", Resolution.EXACT),
            ("Etc/GMT+12", "2026-01-01T00:00", "2026-01-01T12:00Z", Resolution.EXACT),
            ("Etc/UTC", "2026-01-01T00:00", "2026-01-01T00:00Z", Resolution.EXACT),
        ],
    )
    def test_a_wall_clock_is_read_as_rfc_5545_says(self, zone: str, wall: str, instant: str, flag: Resolution) -> None:
        found = to_instant(datetime.fromisoformat(wall), resolve_zone(zone))
        assert (found.instant, found.flag) == (datetime.fromisoformat(instant), flag)
        assert found.instant.tzinfo is UTC

    def test_an_aware_wall_clock_is_taken_at_its_word(self) -> None:
        found = to_instant(datetime.fromisoformat("2026-03-09T18:00:00-04:00"), Zone("Asia/Tokyo"))
        assert (found.instant, found.flag) == (datetime(2026, 3, 9, 22, tzinfo=UTC), Resolution.EXACT)

    def test_a_gap_moves_an_event_later_on_the_clock_never_earlier(self) -> None:
        zone = Zone("America/New_York")
        assert (
            with_offset(to_instant(datetime.fromisoformat("2026-03-08T02:30"), zone).instant, zone).isoformat()
            == "2026-03-08T03:30:00-04:00"
        )


class TestWithOffset:
    @pytest.mark.parametrize(
        ("zone", "instant", "text"),
        [
            ("America/New_York", "2026-11-03T23:30:00Z", "2026-11-03T18:30:00-05:00"),
            ("America/New_York", "2026-07-03T23:30:00Z", "2026-07-03T19:30:00-04:00"),
            ("Asia/Kathmandu", "2026-07-03T23:30:00Z", "2026-07-04T05:15:00+05:45"),
            ("Etc/UTC", "2026-07-03T23:30:00Z", "2026-07-03T23:30:00+00:00"),
        ],
    )
    def test_isoformat_shows_the_offset_of_that_date(self, zone: str, instant: str, text: str) -> None:
        assert with_offset(datetime.fromisoformat(instant), Zone(zone)).isoformat() == text

    def test_arithmetic_on_the_result_does_not_depend_on_the_zone(self) -> None:
        """The offset is fixed: unlike a pytz value, it does not pretend to know the next day's offset."""
        before = with_offset(datetime(2026, 3, 7, 17, tzinfo=UTC), Zone("America/New_York"))
        assert (before + timedelta(days=1)).utcoffset() == timedelta(hours=-5)

    def test_a_naive_instant_is_a_bug_not_a_guess(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            with_offset(datetime.fromisoformat("2026-03-07T17:00"), Zone("America/New_York"))

    def test_abbreviations_follow_the_season(self) -> None:
        zone = Zone("America/New_York")
        assert (abbreviation(datetime(2026, 1, 1, tzinfo=UTC), zone), abbreviation(datetime(2026, 7, 1, tzinfo=UTC), zone)) == (
            "EST",
            "EDT",
        )


class TestZoneDataAge:
    def test_the_version_is_the_one_pytz_carries(self) -> None:
        assert ZONE_DATA_VERSION[:4].isdecimal()
        assert int(ZONE_DATA_VERSION[:4]) >= 2026

    @pytest.mark.parametrize(
        ("version", "today", "old"),
        [
            ("2026f", date(2026, 11, 21), False),
            ("2026f", date(2027, 7, 1), False),
            ("2026f", date(2027, 9, 1), True),
            ("2025b", date(2026, 11, 21), True),
            ("2026a", date(2026, 9, 1), False),
            ("2026z", date(2027, 6, 1), False),
        ],
    )
    def test_data_is_old_some_nine_months_after_its_release(self, version: str, today: date, old: bool) -> None:
        assert zone_data_is_old(today, version) is old

    def test_data_without_canadas_change_of_2026_is_old_whatever_it_calls_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zones, "_rules", lambda zone: pytz.FixedOffset(-8 * 60))
        assert zone_data_is_old(date(2026, 11, 21), "2026f")


class TestParseWallClock:
    @pytest.mark.parametrize(
        ("text", "iso"),
        [
            ("3/9/2026 6:00 PM", "2026-03-09T18:00:00"),
            ("12/28/2025 6:00 PM", "2025-12-28T18:00:00"),
            ("12/28/2025", "2025-12-28T00:00:00"),
            ("2/14/2026", "2026-02-14T00:00:00"),
            ("03/09/2026 06:00 pm", "2026-03-09T18:00:00"),
            ("3/9/2026 12:00 AM", "2026-03-09T00:00:00"),
            ("3/9/2026 12:30 PM", "2026-03-09T12:30:00"),
            ("3/9/2026 6:00\u202fPM", "2026-03-09T18:00:00"),
            (" 3/9/2026  6:00 PM ", "2026-03-09T18:00:00"),
            ("3/9/2026 6:00:30 PM", "2026-03-09T18:00:30"),
            ("2026-03-09", "2026-03-09T00:00:00"),
            ("2026-03-09T18:00:00", "2026-03-09T18:00:00"),
            ("2026-03-09 18:00", "2026-03-09T18:00:00"),
            ("2026-03-09T18:00:00-04:00", "2026-03-09T18:00:00-04:00"),
            ("2026-03-09T22:00:00Z", "2026-03-09T22:00:00+00:00"),
            ("2026-03-09T22:00:00.123Z", "2026-03-09T22:00:00.123000+00:00"),
            # From here on leniently.
            ("2026-03-09 6:00 PM", "2026-03-09T18:00:00"),
            ("2026-3-9 18:00", "2026-03-09T18:00:00"),
            ("March 9, 2026 6pm", "2026-03-09T18:00:00"),
            ("Mon, 9 Mar 2026 18:00:00 -0500", "2026-03-09T18:00:00-05:00"),
            ("2026-03-09 22:00:00 UTC", "2026-03-09T22:00:00+00:00"),
        ],
    )
    def test_what_the_vendors_write_is_read(self, text: str, iso: str) -> None:
        assert parse_wall_clock(text).isoformat() == iso

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "soon",
            "6:00 PM",
            "10",
            "March 2026",
            "Friday 6 PM",
            "Friday 6 PM 2026",
            "13/3/2026",
            "2026-13-03",
            "0/5/2026",
            "2/30/2026 6:00 PM",
            "3/9/2026 13:00 PM",
            "3/9/2026 25:00",
            "9.3.2026",
            "09-03-2026",
            "9 3 2026",
            "3/9/26",
            "12282025",
            "3/9/0202",
            "9999-12-31T23:59:59",
            "0001-01-01",
            "2026-03-09T18:00:00-25:00",
            "99999999999999999999 2026",
            "3/9/2026 " + "0" * 200,
        ],
    )
    def test_what_would_have_to_be_guessed_is_refused(self, text: str) -> None:
        with pytest.raises(MappingError) as refusal:
            parse_wall_clock(text)
        assert refusal.value.remedy

    @pytest.mark.parametrize("text", ["3/9/2026 6:00 PM EDT", "March 9 2026 6:00 PM PST", "2026-03-09 18:00 IST", "3/9/2026 6:00 PM GMT+3"])
    def test_a_zone_abbreviation_is_an_error_and_never_a_naive_time(self, text: str) -> None:
        with pytest.raises(MappingError):
            parse_wall_clock(text)

    def test_a_refusal_quotes_the_shape_of_the_text_and_never_the_text(self) -> None:
        with pytest.raises(MappingError) as refusal:
            parse_wall_clock("Jane Roe 212-555-0147")
        assert "AAAA AAA 999-999-9999" in refusal.value.message
        assert "Jane" not in refusal.value.message
        assert "212" not in refusal.value.message

    def test_other_formats_can_be_asked_for(self) -> None:
        assert parse_wall_clock("09.03.2026 18:00", ("%d.%m.%Y %H:%M",)) == datetime.fromisoformat("2026-03-09T18:00")


class TestParseInstant:
    @pytest.mark.parametrize(
        "text", ["2026-03-09T22:00:00Z", "2026-03-09T18:00:00-04:00", "2026-03-10T03:45:00+05:45", "2026-03-09 22:00:00 UTC"]
    )
    def test_an_offset_makes_an_instant_in_utc(self, text: str) -> None:
        instant = parse_instant(text)
        assert instant == datetime(2026, 3, 9, 22, tzinfo=UTC)
        assert instant.tzinfo is UTC

    @pytest.mark.parametrize("text", ["2026-03-09T22:00:00", "3/9/2026 6:00 PM", "2026-03-09"])
    def test_a_naive_time_is_refused(self, text: str) -> None:
        with pytest.raises(MappingError, match="no offset"):
            parse_instant(text)


class TestHhmm:
    @pytest.mark.parametrize(
        ("value", "clock"), [(0, time(0)), (30, time(0, 30)), (800, time(8)), (1430, time(14, 30)), (2359, time(23, 59)), (59, time(0, 59))]
    )
    def test_an_integer_clock_is_hours_and_minutes(self, value: int, clock: time) -> None:
        assert hhmm(value) == clock

    @pytest.mark.parametrize("value", [2460, 1275, 2400, 60, -1, -30, -100, 14300])
    def test_what_no_clock_shows_is_refused(self, value: int) -> None:
        with pytest.raises(MappingError):
            hhmm(value)
