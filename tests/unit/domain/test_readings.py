from datetime import UTC, datetime, timedelta

import pytest

from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.readings import (
    DISAGREEMENT,
    NEVER,
    Reading,
    agree,
    decide,
    nominally,
    overruling_place,
    read_wall,
    second_time,
    told_place,
)
from calrelay.domain.zones import Resolution, Zone
from calrelay.errors import MappingError

NEW_YORK = Zone("America/New_York")
NOON = datetime(2026, 7, 4, 16, tzinfo=UTC)  # on New York's clock
TWICE = datetime(2026, 11, 1, 1, 30)  # noqa: DTZ001 - a wall clock has no zone
SKIPPED = datetime(2026, 3, 8, 2, 30)  # noqa: DTZ001 - a wall clock has no zone
REFUSAL = "is no zone we know"


def an_instant(instant: datetime, field: str = "utc") -> Reading:
    return Reading(field=field, instant=instant)


class TestPlaces:
    def test_the_first_key_in_the_config_overrules(self) -> None:
        place = overruling_place({"site:1": "Europe/London", "location:2": "Eastern Time (US & Canada)"}, "location:2", "site:1")
        assert place is not None
        assert (place.zone, place.told_by, place.overrules) == (NEW_YORK, "the config's zones for location:2", True)

    def test_no_key_in_the_config_overrules_nothing(self) -> None:
        assert overruling_place({"site:1": "Europe/London"}, "site:2") is None

    def test_a_zone_in_the_config_that_nobody_knows_is_refused(self) -> None:
        with pytest.raises(MappingError):
            overruling_place({"site:1": "Nowhere"}, "site:1")

    def test_the_first_name_that_is_known_tells_the_zone(self) -> None:
        log = MappingLog()
        told = [("the row", None), ("the site", ""), ("the staff", "Nowhere"), ("the owner", "America/New_York"), ("the rest", "UTC")]
        place = told_place(told, log, refusal=REFUSAL)
        assert place is not None
        assert (place.zone, place.told_by, place.overrules) == (NEW_YORK, "the owner (“America/New_York”)", False)
        assert log.notes == ["the staff is no zone we know"]

    def test_where_nobody_names_a_known_zone_each_odd_name_is_noted_every_time(self) -> None:
        for _ in range(2):
            log = MappingLog()
            assert told_place([("the row", "Nowhere"), ("the site", "Mars")], log, refusal=REFUSAL) is None
            assert log.notes == ["the row is no zone we know", "the site is no zone we know"]

    def test_what_needs_no_time_is_put_at_one_instant_in_utc(self) -> None:
        at_never, at_noon = nominally(), nominally(NOON)
        assert (at_never.start, at_never.end, at_never.zone) == (NEVER, NEVER, "Etc/UTC")
        assert (at_noon.start, at_noon.end, at_noon.zone) == (NOON, NOON, "Etc/UTC")


class TestDecide:
    def test_the_first_reading_decides_and_the_reason_names_it(self) -> None:
        log = MappingLog()
        assert decide("start", [an_instant(NOON), an_instant(NOON, "iso")], log).field == "utc"
        assert log.notes == []
        assert log.in_words() == ("start: 2026-07-04T16:00:00+00:00, from utc",)

    def test_each_reading_that_says_otherwise_is_noted_without_its_time_and_reasoned_with_it(self) -> None:
        log = MappingLog()
        decide("end", [an_instant(NOON), an_instant(NOON + timedelta(hours=1), "iso"), an_instant(NOON, "wall")], log)
        assert log.notes == [f"{DISAGREEMENT}: utc was taken, iso says otherwise"]
        assert log.in_words()[1:] == ("end: 2026-07-04T17:00:00+00:00 by iso, which disagrees",)

    @pytest.mark.parametrize(
        ("wall", "note"),
        [
            (SKIPPED, "the start is a time the clocks skipped; it was read with the offset before the change"),
            (TWICE, "the start is a time the clocks showed twice; the first one was taken"),
        ],
    )
    def test_a_clock_change_is_noted_of_the_reading_that_decides(self, wall: datetime, note: str) -> None:
        log = MappingLog()
        decide("start", [read_wall("wall", wall, NEW_YORK)], log)
        assert log.notes == [note]

    def test_a_clock_change_is_not_noted_of_a_reading_that_only_agrees(self) -> None:
        log = MappingLog()
        wall = read_wall("wall", TWICE, NEW_YORK)
        decide("start", [an_instant(wall.instant), wall], log)
        assert log.notes == []


class TestAgree:
    @pytest.mark.parametrize(("apart", "does"), [(0, True), (59, True), (-59, True), (60, False), (-60, False)])
    def test_instants_agree_within_the_minute_that_a_wall_clock_shows(self, apart: int, *, does: bool) -> None:
        assert agree(an_instant(NOON), an_instant(NOON + timedelta(seconds=apart))) is does

    def test_a_wall_clock_that_is_shown_twice_agrees_with_both_instants_and_no_other(self) -> None:
        wall = read_wall("wall", TWICE, NEW_YORK)
        hours = [agree(an_instant(wall.instant + timedelta(hours=hour)), wall) for hour in (-1, 0, 1, 2)]
        assert hours == [False, True, True, False]

    def test_a_wall_clock_is_compared_on_the_clock_of_its_own_zone(self) -> None:
        noon = datetime(2026, 7, 4, 12)  # noqa: DTZ001 - a wall clock has no zone
        assert agree(an_instant(NOON), read_wall("wall", noon, NEW_YORK))
        assert not agree(an_instant(NOON), read_wall("wall", noon, Zone("Europe/London")))


class TestSecondTime:
    def test_it_is_when_the_clocks_show_a_time_again(self) -> None:
        first = read_wall("wall", TWICE, NEW_YORK)
        assert (first.field, first.flag) == ("wall in America/New_York", Resolution.FOLD)
        assert second_time(first) == first.instant + timedelta(hours=1)

    def test_clocks_that_are_put_back_by_half_an_hour_show_it_half_an_hour_later(self) -> None:
        first = read_wall("wall", datetime(2026, 4, 5, 1, 45), Zone("Australia/Lord_Howe"))  # noqa: DTZ001 - a wall clock has no zone
        assert second_time(first) == first.instant + timedelta(minutes=30)

    def test_an_instant_comes_once(self) -> None:
        assert second_time(an_instant(NOON)) == NOON
