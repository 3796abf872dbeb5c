"""The job with singer-sdk, first half: a tap that reads pages and writes events."""

import sys
from collections.abc import Iterable
from typing import Any

import requests
from mapping import to_event
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BasePageNumberPaginator

BASE = sys.argv[1]


class Pages(BasePageNumberPaginator):
    """Counts pages up to the promised number."""

    def has_more(self, response: requests.Response) -> bool:
        """Tell whether there is another page."""
        return int(self.current_value) < response.json()["total_pages"]


class Bookings(RESTStream[int]):
    """The search."""

    name = "events"
    path = "/events/search.json"
    url_base = BASE
    primary_keys = ("external_id",)
    schema = th.PropertiesList(
        th.Property("external_id", th.StringType),
        th.Property("calendar_id", th.IntegerType),
        th.Property("title", th.StringType),
        th.Property("start_time", th.StringType),
        th.Property("end_time", th.StringType),
        th.Property("time_zone", th.StringType),
        th.Property("location", th.StringType),
        th.Property("content", th.StringType),
        th.Property("participants", th.ArrayType(th.ObjectType(additional_properties=True))),
        th.Property("custom_data", th.ObjectType(additional_properties=True)),
    ).to_dict()

    def get_new_paginator(self) -> Pages:
        """Begin at page 1."""
        return Pages(1)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        """Name the page."""
        return {"page": next_page_token or 1}

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Yield events."""
        return (to_event(row) for row in response.json()["results"])


class TapBench(Tap):
    """The tap."""

    name = "tap-bench"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self) -> list[Bookings]:
        """Return the one stream."""
        return [Bookings(self)]


TapBench(config={}, parse_env_config=False).sync_all()
