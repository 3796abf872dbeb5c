"""Whatever Tripleseat puts into a row, it becomes an event, or a refusal that names no guest; it never raises anything else."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calrelay.domain.event import Event
from calrelay.domain.people import Role
from calrelay.errors import MappingError
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.mapping import lacks_channels, lacks_zone, to_canonical
from calrelay.vendors.tripleseat.wire import EventRow, Unreadable, parse_row

START = datetime.fromisoformat("2026-12-09 18:00")
ROW = an_event_row(61234567, START, START + timedelta(hours=3))
CONTEXT = Context(people=frozenset(Role), site_zones={"1501": "Eastern Time (US & Canada)"})

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.datetimes().map(str)
KEYS = st.sampled_from(["id", "name", "first_name", "email_addresses", "phone_numbers", "address", "number", "account", "site_id"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)


def mapped(row: EventRow) -> Event | MappingError:
    try:
        return to_canonical(row, CONTEXT)
    except MappingError as error:
        return error


@given(changes=st.dictionaries(st.sampled_from(sorted(EventRow.model_fields)), JSON, max_size=6))
def test_any_row_maps_or_is_refused(changes: dict[str, Any]) -> None:
    row = parse_row({**ROW, **changes})
    if isinstance(row, Unreadable):
        assert row.id is None
        return
    lacks_zone(row, CONTEXT)
    lacks_channels(row, CONTEXT)
    outcome = mapped(row)
    if isinstance(outcome, MappingError):
        assert outcome.message
        assert outcome.remedy
    else:
        assert outcome.start <= outcome.end
        assert outcome.start.utcoffset() == outcome.end.utcoffset() == timedelta()


@given(value=JSON)
def test_anything_at_all_is_an_event_or_unreadable(value: object) -> None:
    assert isinstance(parse_row(value), EventRow | Unreadable)
