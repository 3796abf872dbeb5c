"""The job with singer-sdk, second half: a target that sends batches of fifty."""

import sys
from typing import Any

from mapping import BATCH
from sessions import a_session, put
from singer_sdk import BatchSink, Target
from singer_sdk import typing as th

BASE = sys.argv[1]


class Calendar(BatchSink):
    """The calendar."""

    max_size = BATCH
    session = a_session()

    def process_batch(self, context: dict[str, Any]) -> None:
        """Send a batch."""
        put(self.session, BASE, [{key: value for key, value in record.items() if value is not None} for record in context["records"]])


class TargetBench(Target):
    """The target."""

    name = "target-bench"
    config_jsonschema = th.PropertiesList().to_dict()
    default_sink_class = Calendar


TargetBench(config={}, parse_env_config=False).listen()
