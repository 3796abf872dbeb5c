"""A process that holds a pipeline's lock, and stores a link for each line it is sent. Arguments: url, folder, seconds of a lease."""

import sys
from datetime import timedelta
from pathlib import Path

from calrelay.errors import CalrelayError
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import PipelineLock
from tests.fakes.links import a_link


def say(words: str) -> None:
    """Tell the test that started us."""
    print(words, flush=True)  # noqa: T201


def main() -> None:
    """Hold it until stdin ends."""
    url, folder, seconds = sys.argv[1:]
    with open_database(url, Path(folder), lease=timedelta(seconds=float(seconds))) as database:
        with PipelineLock(database, "venue", command="backfill"):
            say("held")
            for line in sys.stdin:
                say(_stored(SqlLedger(database), int(line)))
        say("given back")


def _stored(ledger: SqlLedger, number: int) -> str:
    try:
        ledger.store([a_link(number)])
    except CalrelayError as error:
        return f"{error.kind}: {error.message}"
    return "stored"


if __name__ == "__main__":
    main()
