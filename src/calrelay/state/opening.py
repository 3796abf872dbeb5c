"""Opens the state of an installation whole: database, ledger, tokens. It needs no vendor, no secret of theirs and no network."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from calrelay.state.database import Access, Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.paces import SqlPaces
from calrelay.state.tokens import SqlTokenStore


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The open state of an installation."""

    database: Database
    ledger: SqlLedger
    tokens: SqlTokenStore
    paces: SqlPaces | None = None  # where other processes may ask the same accounts: on a server


@contextmanager
def open_state(url: str, folder: Path, access: Access = Access.WRITE) -> Iterator[State]:
    """Open the state at this URL; relative paths start at `folder`. Raises StateError when it cannot be trusted."""
    with ExitStack() as stack:
        database = stack.enter_context(open_database(url, folder, access=access))
        writable = database
        if access is Access.READ and not database.is_private:  # a refreshed token pair must be kept, or the consent is lost
            writable = stack.enter_context(open_database(url, folder, access=Access.WRITE))
        paces = SqlPaces(writable) if writable.is_on_server else None
        if paces:
            stack.callback(paces.close)
        yield State(database=database, ledger=SqlLedger(database), tokens=SqlTokenStore(writable), paces=paces)
