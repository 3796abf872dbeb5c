"""OAuth tokens in the state database, and the right to refresh them. How a token is got is the vendor's business."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update

from calrelay.errors import Busy
from calrelay.ports import TokenPair
from calrelay.state.database import Database
from calrelay.state.locks import refresh_lock
from calrelay.state.rows import Values, table_of
from calrelay.state.tables import OAuthTokenRow

PATIENCE = timedelta(seconds=5)  # about what another process's refresh takes

_TOKEN = table_of(OAuthTokenRow)
_NOTHING_BEFORE: Values = {"previous_access_token": None, "previous_refresh_token": None, "previous_expires_at": None}


class SqlTokenStore:
    """OAuth tokens, shared by all processes on one state. See `ports.TokenStore` for what each method promises."""

    def __init__(self, database: Database, *, patience: timedelta = PATIENCE) -> None:
        self._database = database
        self._patience = patience
        self._refreshing: set[str] = set()

    def load(self, account: str) -> TokenPair | None:
        """Return the pair in use, or None before the first login."""
        row = self._row(account)
        return _pair(row.access_token, row.refresh_token, row.expires_at) if row else None

    def previous(self, account: str) -> TokenPair | None:
        """Return the pair before the one in use, as long as that one has not worked."""
        row = self._row(account)
        if row is None or row.previous_access_token is None:
            return None
        return _pair(row.previous_access_token, row.previous_refresh_token, row.previous_expires_at)

    def save(self, account: str, pair: TokenPair) -> None:
        """Store a new pair durably, and keep the one before it until `confirm`.

        Of several pairs stored without a `confirm` between them, the last one that was known to work is the one kept.
        """
        newest = {"access_token": pair.access_token, "refresh_token": pair.refresh_token, "expires_at": pair.expires_at}
        with self._database.writing() as connection:
            row = connection.execute(select(_TOKEN).where(_TOKEN.c.account == account).with_for_update()).one_or_none()
            values = {"account": account, **newest, **_before(row)}
            connection.execute(self._database.upsert(_TOKEN, only=values), values)

    def confirm(self, account: str) -> None:
        """Note that the newest pair has worked; the one before it is dropped."""
        if self.previous(account) is None:  # nearly always: no write for every request that works
            return
        with self._database.writing() as connection:
            connection.execute(update(_TOKEN).where(_TOKEN.c.account == account).values(_NOTHING_BEFORE))

    def restore(self, account: str) -> TokenPair | None:
        """Go back to the pair before, because the newest does not work; returns it, or None where there is none to go back to."""
        before = self.previous(account)
        if before is None:
            return None
        values = {"access_token": before.access_token, "refresh_token": before.refresh_token, "expires_at": before.expires_at}
        with self._database.writing() as connection:
            connection.execute(update(_TOKEN).where(_TOKEN.c.account == account).values({**values, **_NOTHING_BEFORE}))
        return before

    def forget(self, account: str) -> None:
        """Drop all tokens of an account."""
        with self._database.writing() as connection:
            connection.execute(delete(_TOKEN).where(_TOKEN.c.account == account))

    @contextmanager
    def refreshing(self, account: str) -> Iterator[None]:
        """Hold the right to refresh this account's tokens, one holder over all processes. Blocks for a short while; raises Busy.

        Within one store it does not block: whoever holds it there could not go on while this call waits.
        """
        if account in self._refreshing:
            raise Busy(f"the tokens of account {account} are being refreshed already", remedy="it passes by itself")
        with refresh_lock(self._database, account, patience=self._patience):
            self._refreshing.add(account)
            try:
                yield
            finally:
                self._refreshing.discard(account)

    def _row(self, account: str) -> Row[Any] | None:
        with self._database.reading() as connection:
            return connection.execute(select(_TOKEN).where(_TOKEN.c.account == account)).one_or_none()


def _pair(access_token: str, refresh_token: str | None, expires_at: Any) -> TokenPair:
    return TokenPair(access_token=access_token, refresh_token=refresh_token, expires_at=expires_at)


def _before(row: Row[Any] | None) -> Values:
    """Return what becomes the pair before a new one: the one in use, unless that is on trial itself; then all stays as it is."""
    if row is None:
        return _NOTHING_BEFORE
    if row.previous_access_token is not None:
        return {}
    return {"previous_access_token": row.access_token, "previous_refresh_token": row.refresh_token, "previous_expires_at": row.expires_at}
