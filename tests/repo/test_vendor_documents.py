"""What the vendor pages and the page on templates say, held against the code: fields, statuses, settings and files."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calrelay.config.vendor import VendorConfig
from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.jinja import view_of
from calrelay.domain.people import Participant, Role
from calrelay.domain.rendering import CONTENT, LOCATION, TITLE, Texts
from calrelay.simulators.timetap.rows import an_appointment_row
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.vendors.registry import VENDORS
from calrelay.vendors.timetap import context as timetap_context
from calrelay.vendors.timetap import mapping as timetap
from calrelay.vendors.timetap import wire as timetap_wire
from calrelay.vendors.tripleseat import context as tripleseat_context
from calrelay.vendors.tripleseat import mapping as tripleseat
from calrelay.vendors.tripleseat import wire as tripleseat_wire

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "vendors" / f"{name}.md" for name in VENDORS] + [DOCS / "adding-a-vendor.md"]
TEMPLATES = (DOCS / "templates.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```jinja\n(.*?)\n```\n```text\n(.*?)\n```", TEMPLATES, re.DOTALL)

# The event that the page on templates describes.
WEDDING = Event(
    source_id=SourceId("61000001"),
    status="DEFINITE",
    lifecycle=Lifecycle.LIVE,
    start=datetime(2026, 12, 15, 23, 30, tzinfo=UTC),
    end=datetime(2026, 12, 16, 7, 30, tzinfo=UTC),
    zone="America/Vancouver",
    title="Bell & Okafor Wedding",
    location="Harbour House, Terrace",
    content="Window tables if possible.",
    participants=(Participant(name="Ana Bell", email="ana@example.com", role=Role.CONTACT),),
    custom={"source": "tripleseat", "status": "DEFINITE", "event_type": "Wedding", "guest_count": "80"},
)


def an_event_of(vendor: str) -> Event:
    """Return an event with everything that its source can tell."""
    start = datetime(2026, 12, 9, 18)  # noqa: DTZ001 - a wall clock
    if vendor == "tripleseat":
        row = tripleseat_wire.parse_row(an_event_row(61_000_001, start, start + timedelta(hours=3)))
        assert isinstance(row, tripleseat_wire.EventRow)
        return tripleseat.to_canonical(row, tripleseat_context.Context())
    appointment = timetap_wire.parse_row(an_appointment_row(70_000_001, start, 45, "America/New_York"))
    assert isinstance(appointment, timetap_wire.AppointmentRow)
    return timetap.to_canonical(appointment, timetap_context.Context())


SOURCES = [name for name, vendor in VENDORS.items() if vendor.filter is not None]
each_source = pytest.mark.parametrize("vendor", SOURCES)


def page_of(vendor: str) -> str:
    return (DOCS / "vendors" / f"{vendor}.md").read_text(encoding="utf-8")


# --- templates ---


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize(("template", "text"), EXAMPLES)
def test_an_example_gives_what_the_page_says(template: str, text: str) -> None:
    assert Texts(title=template).render(WEDDING).title == text


def test_the_config_on_the_page_renders() -> None:
    [source] = re.findall(r"```toml\n(.*?)\n```", TEMPLATES, re.DOTALL)
    table = tomllib.loads(source)["pipelines"]["event"]
    rendered = Texts(**table).render(WEDDING)
    assert rendered.title == "Wedding – Bell & Okafor Wedding"
    assert rendered.content == "Tuesday 4:30 PM, 80 guests"
    assert rendered.custom_data["hall"] == "Terrace"
    assert rendered.custom_data["weekend"] == "no"


def test_the_default_templates_are_among_the_examples() -> None:
    assert {TITLE, LOCATION, CONTENT} <= {template for template, _ in EXAMPLES}


def test_every_field_that_a_template_sees_is_described_and_no_other() -> None:
    described = set(re.findall(r"`event\.(\w+)`", TEMPLATES.partition("## Examples")[0]))
    assert described == set(view_of(WEDDING))


@each_source
def test_a_sources_custom_fields_are_described_and_no_others(vendor: str) -> None:
    [row] = re.findall(rf"^\| {VENDORS[vendor].label} \| (`source`.*) \|$", TEMPLATES, re.MULTILINE)
    usual, _, on_demand = row.partition("; with `extras`")
    assert set(re.findall(r"`(\w+)`", usual)) == set(an_event_of(vendor).custom)
    assert set(re.findall(r"`(\w+)`", on_demand)) == set(VENDORS[vendor].extras)


# --- vendor pages ---


@each_source
def test_a_page_names_every_custom_field_facet_and_status(vendor: str) -> None:
    page, event = page_of(vendor), an_event_of(vendor)
    filters = VENDORS[vendor].filter
    assert filters is not None
    assert not [key for key in event.custom.keys() - {"source", "status"} if f"custom.{key}" not in page]
    assert not [facet for facet in event.facets if f"`{facet}`" not in page]
    assert not [status for status in filters.known_statuses if status not in page]


@each_source
def test_a_page_names_the_statuses_that_are_relayed_by_default(vendor: str) -> None:
    [row] = re.findall(r"^\| ([A-Z_, ]+) \| relayed by default", page_of(vendor), re.MULTILINE)
    assert tuple(row.split(", ")) == VENDORS[vendor].statuses


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_a_page_names_only_values_of_settings_that_are_the_defaults(vendor: VendorConfig) -> None:
    fields = vendor.account.model_fields
    told = re.findall(r"`(\w+) = ([\d.]+)`", page_of(vendor.name))
    for name, value in told:
        assert float(value) == fields[name].default, name


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_a_page_says_how_to_get_each_credential(vendor: VendorConfig) -> None:
    required = {name for name, field in vendor.account.model_fields.items() if field.is_required()} - {"vendor"}
    credentials = page_of(vendor.name).partition("## Credentials")[2].partition("\n## ")[0]
    assert not [name for name in required if f"`{name}`" not in credentials]


def test_the_targets_page_has_every_field_that_is_sent() -> None:
    page = page_of("apptoto")
    for name in (
        "external_id",
        "calendar_id",
        "title",
        "start_time",
        "end_time",
        "time_zone",
        "location",
        "content",
        "participants",
        "custom_data",
    ):
        assert f"`{name}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_points_to_exists(page: Path) -> None:
    pointed = re.findall(r"`((?:src|tests|docs|cassettes)/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert pointed
    assert not [path for path in pointed if "NAME" not in path and not (ROOT / path).exists()]
