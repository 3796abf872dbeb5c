"""Carries out `state copy`: finds the two databases, keeps everybody else away from both, and says what arrived."""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from calrelay.cli.output import Block, Output, Progress, Table
from calrelay.cli.session import Session
from calrelay.config.database import absolute_database_url, sqlite_file
from calrelay.domain.words import counted
from calrelay.errors import ConfigError, StateError
from calrelay.log import register_secret
from calrelay.state.copying import TABLES, Copied, copy_state, pipelines_in
from calrelay.state.database import Database, open_database
from calrelay.state.locks import DaemonLock, PipelineLock
from calrelay.state.opening import alone
from calrelay.state.server_failures import ADDRESS

COMMAND = "state copy"
_ENV = "env:"


def copy(session: Session, output: Output, addresses: Sequence[str]) -> int:
    """Copy one state into another database. Raises Busy while anybody is at work on either, StateError where TO is not empty."""
    began = time.monotonic()
    origin, destination = _addresses(session, addresses)
    _check_origin(origin)
    with _opened(origin) as source, _opened(destination) as target:
        if source.where == target.where:
            raise ConfigError(f"FROM and TO are the same database, {source.where}", remedy="name another one as TO")
        with _alone(source, target), output.progress(COMMAND) as bar:
            copied = copy_state(source, target, progress=_Tables(bar))
        document = _document(source, target, copied, time.monotonic() - began)
    output.answer(document, _told(document, copied))
    return 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Where a database is, and what that address is called; it may hold a password."""

    url: str = dataclasses.field(repr=False)
    name: str = ADDRESS


def _addresses(session: Session, given: Sequence[str]) -> tuple[_Address, _Address]:
    if len(given) > 2:
        raise ConfigError(f"`state copy` takes two databases, not {len(given)}", remedy="calrelay state copy FROM TO")
    known = [_address(word) for word in given]
    return (known[0], known[1]) if len(known) == 2 else (_Address(url=session.load().state_url()), known[0])


def _address(word: str) -> _Address:
    """Return the address that was typed, or that a variable holds. What cannot be read is not repeated: it may hold a password."""
    name = word.removeprefix(_ENV) if word.startswith(_ENV) else None
    url = word if name is None else os.environ.get(name, "")
    if not url:
        raise ConfigError(f"the variable {name} is not set", remedy=f"export {name}='postgresql://…'")
    register_secret(url)
    try:
        return _Address(url=absolute_database_url(url, Path.cwd()), name=f"the variable {name}" if name else "the address you typed")
    except ValueError as error:
        what, _, remedy = str(error).partition(" — ")
        raise ConfigError(f"{name or 'an address'} {what}", remedy=remedy) from None


def _check_origin(origin: _Address) -> None:
    """Refuse a file that is not there: opening would make an empty database of it."""
    file = sqlite_file(origin.url)
    if file is not None and not file.exists():
        raise StateError(f"there is no state database {file}", remedy="correct FROM, or leave it out for the config's")


def _opened(address: _Address) -> Database:
    try:
        return open_database(address.url, Path.cwd(), upgrading=alone)
    except StateError as error:  # whose words are those for the config's address
        raise StateError(error.message, remedy=error.remedy.replace(ADDRESS, address.name)) from None


@contextmanager
def _alone(source: Database, target: Database) -> Iterator[None]:
    """Keep daemons and passes away from both."""
    with ExitStack() as locks:
        for database in (source, target):
            locks.enter_context(DaemonLock(database, command=COMMAND))
        for name in pipelines_in(source):
            locks.enter_context(PipelineLock(source, name, command=COMMAND))
        yield


class _Tables:
    """Shows progress: a piece is a table."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._done = 0

    def __call__(self, table: str, rows: int, of: int) -> None:
        if rows < of:
            self._bar.glance(f"{table}: {rows} of {of}")
            return
        self._done += 1
        self._bar.advance(self._done, len(TABLES), f"{table}: {counted(of, 'row')}")


def _document(source: Database, target: Database, copied: Sequence[Copied], seconds: float) -> dict[str, Any]:
    return {
        "from": source.where,
        "to": target.where,
        "rows": sum(one.rows for one in copied),
        "tables": {one.table: {"rows": one.rows, "sha256": one.checksum} for one in copied},
        "seconds": round(seconds, 3),
    }


def _told(document: dict[str, Any], copied: Sequence[Copied]) -> list[Block]:
    address = "sqlite:///…" if not str(document["to"]).startswith("postgresql:") else "postgresql://…"
    return [
        f"{counted(document['rows'], 'row')} copied and compared, from {document['from']} to {document['to']}:",
        "",
        Table(rows=[(one.table, str(one.rows)) for one in copied if one.rows], columns=("table", "rows")),
        "",
        f'1. Write the new address into the config: `url = "{address}"` under [state].',
        "2. `calrelay plan` shows that nothing is sent.",
        "3. Start the daemon again, and put the old database away: whatever still runs on it would message the same guests.",
    ]
