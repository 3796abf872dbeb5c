"""Rows in every shape of time the vendors' pages know, through a whole pass: what the target is sent is compared with literals."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calrelay.simulators.timetap.rows import ClientPair, a_staff
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, HARBOUR_HOUSE, Location
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.variants import Variant, vary
from tests.system_local.stage import Passes, Stage, a_stage

Row = dict[str, Any]
EVENING = datetime(2026, 12, 15, 18, 0)  # noqa: DTZ001 - wall clocks, here and below
EVENT, APPOINTMENT = 61_000_001, 70_000_001
NEW_YORK_EVENING = ("2026-12-15T18:00:00-05:00", "2026-12-15T21:30:00-05:00")
VANCOUVER_EVENING = ("2026-12-15T18:00:00-07:00", "2026-12-15T21:30:00-07:00")  # no more clock changes there since November 2026
LOS_ANGELES_EVENING = ("2026-12-15T18:00:00-08:00", "2026-12-15T21:30:00-08:00")


def wall(month: int, day: int, hour: int, minute: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001


def an_event(start: datetime = EVENING, hours: float = 3.5, location: Location = ALDER_HOUSE) -> Row:
    return an_event_row(EVENT, start, start + timedelta(hours=hours), location=location)


def times_sent(stage: Stage) -> tuple[str, str]:
    (row,) = stage.rows_sent()
    return row["start_time"], row["end_time"]


def relayed(stage: Stage, row: Row, **config: str) -> tuple[str, str]:
    """Relay one event and return its times as they were sent."""
    stage.world.tripleseat.events.add(row)
    stage.configure(future="400d", **config)
    passes = stage.sync("venue")
    assert (passes.code, passes.of("venue").created) == (0, 1), passes.document
    return times_sent(stage)


def varied(row: Row, *variants: Variant) -> Row:
    for variant in variants:
        vary(row, variant)
    return row


def named(row: Row, zone: str) -> Row:
    return varied({**row, "event_timezone": zone}, Variant.WALL_CLOCK_ONLY)


@pytest.mark.parametrize(
    ("row", "times"),
    [
        pytest.param(an_event(), NEW_YORK_EVENING, id="everything there"),
        pytest.param(varied(an_event(), Variant.NO_UTC), NEW_YORK_EVENING, id="no UTC fields"),
        pytest.param(varied(an_event(), Variant.NO_OFFSETS), NEW_YORK_EVENING, id="no offsets"),
        pytest.param(varied(an_event(), Variant.NO_OFFSETS, Variant.NO_ZONE), NEW_YORK_EVENING, id="UTC alone, zone of the site"),
        pytest.param(varied(an_event(), Variant.WALL_CLOCK_ONLY), NEW_YORK_EVENING, id="wall clock and Rails name"),
        pytest.param(varied(an_event(), Variant.WALL_CLOCK_ONLY, Variant.NO_ZONE), NEW_YORK_EVENING, id="wall clock and the site"),
        pytest.param(varied(an_event(), Variant.PADDED_DATES, Variant.WALL_CLOCK_ONLY), NEW_YORK_EVENING, id="padded dates"),
        pytest.param(named(an_event(), "America/New_York"), NEW_YORK_EVENING, id="IANA id"),
        pytest.param(named(an_event(), "US/Eastern"), NEW_YORK_EVENING, id="legacy alias"),
        pytest.param(named(an_event(), "Eastern Time (US &amp; Canada)"), NEW_YORK_EVENING, id="Rails name with an entity"),
        pytest.param(named(an_event(), "(GMT-05:00) Eastern Time (US & Canada)"), NEW_YORK_EVENING, id="Rails name as in menus"),
        pytest.param(named(an_event(), "Pacific Time (US & Canada)"), LOS_ANGELES_EVENING, id="the Rails name for Pacific is Los Angeles"),
        pytest.param(an_event(location=HARBOUR_HOUSE), VANCOUVER_EVENING, id="Vancouver"),
        pytest.param(named(an_event(), "America/Vancouver"), VANCOUVER_EVENING, id="Vancouver by its wall clock"),
        pytest.param(named(an_event(), "Canada/Pacific"), VANCOUVER_EVENING, id="Vancouver by its old name"),
        pytest.param(
            an_event(wall(12, 31, 22), 5), ("2026-12-31T22:00:00-05:00", "2027-01-01T03:00:00-05:00"), id="over midnight and New Year"
        ),
        pytest.param(
            named(an_event(wall(3, 14, 2, 30, 2027), 3), "America/New_York"),
            ("2027-03-14T03:30:00-04:00", "2027-03-14T05:30:00-04:00"),
            id="a start the clocks skipped",
        ),
        pytest.param(
            named(an_event(wall(11, 7, 1, 30, 2027), 5), "America/New_York"),
            ("2027-11-07T01:30:00-04:00", "2027-11-07T06:30:00-05:00"),
            id="a start the clocks showed twice",
        ),
        pytest.param(varied(an_event(), Variant.UTC_DISAGREES), ("2026-12-15T19:00:00-05:00", "2026-12-15T22:30:00-05:00"), id="UTC wins"),
    ],
)
def test_a_tripleseat_event_lands_on_the_right_instant(bare_stage: Stage, row: Row, times: tuple[str, str]) -> None:
    assert relayed(bare_stage, dict(row)) == times


@pytest.mark.parametrize(
    ("zones", "times"),
    [
        ('{ "location:2601" = "America/Vancouver" }', VANCOUVER_EVENING),
        ('{ "site:1501" = "Canada/Pacific" }', VANCOUVER_EVENING),
        ('{ "site:1501" = "Pacific Standard Time" }', LOS_ANGELES_EVENING),
        ('{ "site:1501" = "Arizona" }', ("2026-12-15T18:00:00-07:00", "2026-12-15T21:30:00-07:00")),
        (
            '{ "location:2601" = "Central Standard Time", "site:1501" = "Asia/Tokyo" }',
            ("2026-12-15T18:00:00-06:00", "2026-12-15T21:30:00-06:00"),
        ),
        ('{ "location:2602" = "Asia/Tokyo" }', NEW_YORK_EVENING),
    ],
)
def test_a_zone_in_the_config_wins_over_every_field_of_the_event(bare_stage: Stage, zones: str, times: tuple[str, str]) -> None:
    assert relayed(bare_stage, an_event(), venue_account=f"zones = {zones}") == times


@pytest.mark.parametrize("variant", [Variant.NO_UTC, Variant.NO_OFFSETS, Variant.WALL_CLOCK_ONLY, Variant.UTC_DISAGREES])
def test_the_configs_zone_wins_whatever_the_event_leaves_out(bare_stage: Stage, variant: Variant) -> None:
    assert (
        relayed(bare_stage, varied(an_event(), variant), venue_account='zones = { "site:1501" = "America/Vancouver" }') == VANCOUVER_EVENING
    )


def test_fields_that_disagree_are_counted(bare_stage: Stage) -> None:
    bare_stage.world.tripleseat.events.add(varied(an_event(), Variant.UTC_DISAGREES))
    report = bare_stage.sync("venue").of("venue")
    assert any("times disagree" in note for note in report.notes)


@pytest.mark.parametrize("variants", [(Variant.NO_TIMES,), (Variant.WALL_CLOCK_ONLY, Variant.NO_ZONE)])
def test_an_event_without_time_or_zone_is_quarantined_and_the_others_go_on(bare_stage: Stage, variants: tuple[Variant, ...]) -> None:
    events = bare_stage.world.tripleseat.events
    nowhere = dataclasses.replace(ALDER_HOUSE, site=dataclasses.replace(ALDER_HOUSE.site, timezone="Middle-earth"))
    events.locations[ALDER_HOUSE.id] = nowhere
    events.add(varied(an_event(), *variants))
    events.add(an_event_row(EVENT + 1, EVENING, EVENING + timedelta(hours=1), location=HARBOUR_HOUSE))
    passes = bare_stage.sync("venue")
    report = passes.of("venue")
    assert (report.created, report.quarantined, passes.code) == (1, 1, 1)
    assert [row["external_id"] for row in bare_stage.rows_sent()] == [f"ts-{EVENT + 1}"]
    assert report.problems[0].external_id == f"ts-{EVENT}"
    assert report.problems[0].remedy


def test_an_alias_of_the_same_zone_is_no_change(bare_stage: Stage) -> None:
    relayed(bare_stage, an_event())
    for name in ("US/Eastern", "America/New_York", "(GMT-05:00) Eastern Time (US & Canada)"):
        bare_stage.world.tripleseat.events.patch(EVENT, {"event_timezone": name})
        bare_stage.forget_requests()
        bare_stage.sync("venue")
        assert bare_stage.writes() == []


# --- TimeTap ---

Setting = Callable[[Stage], object]


def setting(**values: object) -> Setting:
    def turn(stage: Stage) -> None:
        for name, value in values.items():
            assert hasattr(stage.world.timetap.settings, name)
            setattr(stage.world.timetap.settings, name, value)

    return turn


def booked(stage: Stage, start: datetime, minutes: int = 45, zone: str = "America/New_York", **extras: Any) -> None:
    stage.world.timetap.book.book(start, minutes, zone, **{"staff": a_staff(61001, zone), **extras})


def synced(stage: Stage, **config: str) -> Passes:
    stage.configure(future="400d", **config)
    passes = stage.sync("studio")
    assert (passes.code, passes.of("studio").created) == (0, 1), passes.document
    return passes


WHOLE = setting()
NO_UTC = setting(utc_fields=False)
STAFF_OBJECT = setting(utc_fields=False, staff_time_zone=False)
STAFF_RECORD = setting(utc_fields=False, staff_time_zone=False, staff_zone_object=False)
LEGACY = setting(utc_fields=False, legacy_zones=True)
LEGACY_RECORD = setting(utc_fields=False, legacy_zones=True, staff_time_zone=False, staff_zone_object=False)


@pytest.mark.parametrize("shape", [WHOLE, NO_UTC, STAFF_OBJECT, STAFF_RECORD, LEGACY, LEGACY_RECORD])
@pytest.mark.parametrize(
    ("start", "minutes", "zone", "times"),
    [
        pytest.param(wall(12, 15, 8), 45, "America/New_York", ("2026-12-15T08:00:00-05:00", "2026-12-15T08:45:00-05:00"), id="800"),
        pytest.param(wall(12, 15, 0), 30, "America/New_York", ("2026-12-15T00:00:00-05:00", "2026-12-15T00:30:00-05:00"), id="0 and 30"),
        pytest.param(
            wall(12, 15, 23, 30), 90, "America/Denver", ("2026-12-15T23:30:00-07:00", "2026-12-16T01:00:00-07:00"), id="over midnight"
        ),
        pytest.param(
            wall(12, 15, 14, 5), 45, "America/Vancouver", ("2026-12-15T14:05:00-07:00", "2026-12-15T14:50:00-07:00"), id="Vancouver"
        ),
    ],
)
def test_an_appointment_lands_on_the_right_instant(
    bare_stage: Stage, shape: Setting, start: datetime, minutes: int, zone: str, times: tuple[str, str]
) -> None:
    shape(bare_stage)
    booked(bare_stage, start, minutes, zone)
    synced(bare_stage)
    assert times_sent(bare_stage) == times


@pytest.mark.parametrize("pair", ClientPair)
@pytest.mark.parametrize("shape", [WHOLE, NO_UTC])
def test_the_clients_clock_never_decides(bare_stage: Stage, shape: Setting, pair: ClientPair) -> None:
    shape(bare_stage)
    booked(bare_stage, wall(12, 15, 15, 30), client_zone="Europe/London", client_pair=pair)
    synced(bare_stage)
    assert times_sent(bare_stage) == ("2026-12-15T15:30:00-05:00", "2026-12-15T16:15:00-05:00")


@pytest.mark.parametrize("shape", [WHOLE, NO_UTC])
@pytest.mark.parametrize(
    ("start", "times"),
    [
        pytest.param(wall(3, 14, 2, 30, 2027), ("2027-03-14T03:30:00-04:00", "2027-03-14T04:15:00-04:00"), id="gap"),
        pytest.param(wall(11, 7, 1, 30, 2027), ("2027-11-07T01:30:00-04:00", "2027-11-07T01:15:00-05:00"), id="fold"),
    ],
)
def test_clock_changes_follow_the_calendar_standard(bare_stage: Stage, shape: Setting, start: datetime, times: tuple[str, str]) -> None:
    """A skipped time takes the offset before the change, a time shown twice is its first (RFC 5545, 3.3.5)."""
    shape(bare_stage)
    booked(bare_stage, start)
    synced(bare_stage)
    assert times_sent(bare_stage) == times


@pytest.mark.parametrize(
    ("zones", "times"),
    [
        ('{ "staff:61001" = "Pacific Standard Time" }', ("2026-12-15T15:30:00-08:00", "2026-12-15T16:15:00-08:00")),
        ('{ "location:41001" = "America/Vancouver" }', ("2026-12-15T15:30:00-07:00", "2026-12-15T16:15:00-07:00")),
        ('{ "staff:61001" = "London", "location:41001" = "Tokyo" }', ("2026-12-15T15:30:00+00:00", "2026-12-15T16:15:00+00:00")),
    ],
)
@pytest.mark.parametrize("shape", [WHOLE, NO_UTC])
def test_a_zone_in_the_config_wins_over_what_timetap_says(bare_stage: Stage, shape: Setting, zones: str, times: tuple[str, str]) -> None:
    shape(bare_stage)
    booked(bare_stage, wall(12, 15, 15, 30))
    synced(bare_stage, studio_account=f"zones = {zones}")
    assert times_sent(bare_stage) == times


@pytest.mark.parametrize("machine_zone", ["Asia/Tokyo", "America/Vancouver"])
def test_neither_the_machines_clock_nor_its_zone_data_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine_zone: str
) -> None:
    """The operating system's copy of the zone rules may be years old; the installed command is given none at all."""
    monkeypatch.setenv("TZ", machine_zone)
    monkeypatch.setenv("PYTHONTZPATH", "")
    evening = datetime.combine(datetime.now(UTC).date() + timedelta(days=20), EVENING.time())
    with a_stage(tmp_path, capsys) as stage:
        stage.world.tripleseat.events.add(varied(an_event(evening, location=HARBOUR_HOUSE), Variant.WALL_CLOCK_ONLY))
        said = stage.execute("plan", "venue", "--json")
    assert [action["start"] for action in said.document["passes"][0]["actions"]] == [f"{evening.isoformat()}-07:00"]
