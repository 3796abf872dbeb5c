"""The bookings every contender carries: the simulators' own rows, written once as JSON for the fast server. Nothing is measured here."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from calrelay.simulators.worlds import a_world

SEED = 20261
SOON = timedelta(hours=6)  # what starts earlier could be over before the last contender has run


def write_rows(path: Path, count: int) -> None:
    """Write `count` definite, coming bookings, soonest first, one JSON document per line."""
    now = datetime.now(UTC).replace(microsecond=0)
    world = a_world(SEED, now, tripleseat_events=int(count * 1.25) + 50, timetap_appointments=1)
    wanted = [stored.row for stored in world.tripleseat.events if _is_wanted(stored.row, now)]
    rows = sorted(wanted, key=lambda row: (row["event_start_utc"], row["id"]))
    if len(rows) < count:
        raise RuntimeError(f"only {len(rows)} of {count} bookings are definite and still to come")
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[:count])


def _is_wanted(row: dict[str, Any], now: datetime) -> bool:
    return row["status"] == "DEFINITE" and datetime.fromisoformat(row["event_start_utc"]) > now + SOON
