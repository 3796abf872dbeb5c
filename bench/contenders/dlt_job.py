"""The job with dlt: its REST client as a resource, and a function as its destination."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "500"  # ours: a job has a file, and with all events in one, none could run beside another
os.environ["NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS"] = "500"

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from mapping import BATCH, to_event
from sessions import a_session, put

BASE = sys.argv[1]
SESSION = a_session()


@dlt.resource(name="events", max_table_nesting=0)
def bookings() -> Iterator[list[dict[str, Any]]]:
    """Yield events, a page at a time."""
    client = RESTClient(base_url=BASE, paginator=PageNumberPaginator(base_page=1, total_path="total_pages"), data_selector="results")
    for page in client.paginate("/events/search.json"):
        # As text: dlt would read times in it, and hand them on as values that its own requests cannot send.
        yield [{"event": json.dumps(to_event(row))} for row in page]


@dlt.destination(batch_size=BATCH, loader_file_format="typed-jsonl", name="calendar", naming_convention="direct", max_parallel_load_jobs=8)
def calendar(items: Any, table: Any) -> None:
    """Send a batch."""
    put(SESSION, BASE, [json.loads(item["event"]) for item in items])


pipeline = dlt.pipeline(pipeline_name="bench", destination=calendar, pipelines_dir="dlt")
pipeline.run(bookings())
