"""The job with drt: its REST source with offset paging, and its REST destination in batch mode."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drt.config.credentials import RestApiProfile
from drt.config.models import SyncConfig
from drt.destinations.rest_api import RestApiDestination
from drt.engine.sync import run_sync
from drt.sources.rest_api import RestApiSource
from mapping import BATCH, PAGE, to_event

BODY = '{"prevent_calendar_creation": true, "events": {{ rows | tojson }}}'


class Bookings(RestApiSource):
    """drt's own REST source; rows are mapped as they arrive, because its templates cannot normalise a telephone number."""

    def extract(self, query: str, config: Any, *, query_tags: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield events."""
        return (to_event(row) for row in super().extract(query, config, query_tags=query_tags))


def main() -> None:
    """Carry everything once."""
    base = sys.argv[1]
    paging = {"type": "offset", "limit": PAGE, "max_pages": 1_000_000}
    profile = RestApiProfile(type="rest_api", url=f"{base}/events/search.json", pagination=paging, result_path="results")
    target = {
        "type": "rest_api",
        "url": f"{base}/events",
        "method": "PUT",
        "headers": {"Content-Type": "application/json"},
        "body_mode": "batch",
        "batch_template": BODY,
    }
    options = {"batch_size": BATCH, "on_error": "skip", "rate_limit": {"requests_per_second": 100_000}}
    sync = SyncConfig.model_validate({"name": "bookings", "model": "SELECT 1", "destination": target, "sync": options})
    result = run_sync(sync, Bookings(), RestApiDestination(), profile, Path.cwd())
    print(result.success, result.failed, file=sys.stderr)


main()
