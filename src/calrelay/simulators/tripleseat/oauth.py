"""Tokens and consent of a simulated Tripleseat: who may do what until when (Tripleseat: Authentication). Knows no HTTP."""

import dataclasses
import random
import string
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.settings import ClientCredentials, RefreshTokens, TripleseatSettings

CODE_LIFETIME = timedelta(minutes=10)


class Verdict(StrEnum):
    """What a bearer token is worth."""

    VALID = "valid"
    INVALID = "invalid"  # unknown, expired or revoked
    NO_OWNER = "no_owner"  # sound, but nobody stands behind it


class OAuthError(Exception):
    """A refused token request: `code` is the `error` of RFC 6749, section 5.2."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """An answer of the token endpoint; client_credentials and refreshes that keep the old one bring no refresh token."""

    access_token: str
    refresh_token: str | None
    expires_in: int
    scope: str
    created: datetime

    def to_json(self) -> dict[str, Any]:
        """Write it as Tripleseat does."""
        row: dict[str, Any] = {"access_token": self.access_token, "token_type": "Bearer", "expires_in": self.expires_in}
        if self.refresh_token is not None:
            row["refresh_token"] = self.refresh_token
        return {**row, "scope": self.scope, "created_at": int(self.created.timestamp())}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    expires: datetime
    verdict: Verdict = Verdict.VALID


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    redirect_uri: str
    expires: datetime


class Authority:
    """Issues, refreshes, expires and judges tokens."""

    def __init__(self, settings: TripleseatSettings, clock: SimulatedClock, seed: int) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = random.Random(seed)
        self._access: dict[str, _Access] = {}
        self._refresh: set[str] = set()
        self._codes: dict[str, _Code] = {}

    def issue(self) -> TokenPair:
        """Issue a pair as if somebody had just consented."""
        pair = self._pair(Verdict.VALID, self._text())
        self._refresh.add(pair.refresh_token or "")
        return pair

    def grant(self, refresh_token: str) -> None:
        """Make this refresh token valid, as if it came from an earlier consent."""
        self._refresh.add(refresh_token)

    def expire(self) -> None:
        """Let every access token expire; refresh tokens live on."""
        self._access.clear()

    def revoke(self) -> None:
        """Withdraw the consent: no token of either kind is worth anything."""
        self._access.clear()
        self._refresh.clear()

    def judge(self, access_token: str) -> Verdict:
        """Say what a bearer token is worth now."""
        access = self._access.get(access_token)
        if access is None or access.expires <= self._clock.now():
            return Verdict.INVALID
        return access.verdict

    def is_client(self, client_id: str, redirect_uri: str) -> bool:
        """Whether consent may be asked for; the redirect URI must be the registered one, to the letter."""
        return client_id == self._settings.client_id and self._settings.redirect_uri in ("", redirect_uri)

    def consent(self, redirect_uri: str) -> str:
        """Return a code that can be exchanged once, within ten minutes, for this redirect URI."""
        code = self._text()
        self._codes[code] = _Code(redirect_uri=redirect_uri, expires=self._clock.now() + CODE_LIFETIME)
        return code

    def exchange(self, form: Mapping[str, str]) -> TokenPair:
        """Answer a token request; raises OAuthError."""
        known = form.get("client_id") == self._settings.client_id, form.get("client_secret") == self._settings.client_secret
        if not all(known):
            raise OAuthError("invalid_client", "Client authentication failed", status=401)
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange_code(form)
            case "refresh_token":
                return self._exchange_refresh(form)
            case "client_credentials" if self._settings.client_credentials is not ClientCredentials.OFF:
                owned = self._settings.client_credentials is ClientCredentials.ON
                return self._pair(Verdict.VALID if owned else Verdict.NO_OWNER, None)
            case _:
                raise OAuthError("unsupported_grant_type", "The authorization grant type is not supported")

    def counts(self) -> dict[str, int]:
        """Count the tokens that are still known."""
        return {"access_tokens": len(self._access), "refresh_tokens": len(self._refresh)}

    def _exchange_code(self, form: Mapping[str, str]) -> TokenPair:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.expires <= self._clock.now() or code.redirect_uri != form.get("redirect_uri"):
            raise OAuthError("invalid_grant", "The authorization grant is invalid, expired, or for another redirect URI")
        return self.issue()

    def _exchange_refresh(self, form: Mapping[str, str]) -> TokenPair:
        old = form.get("refresh_token", "")
        if old not in self._refresh:
            raise OAuthError("invalid_grant", "The refresh token is invalid, expired, or was used before")
        if self._settings.refresh_tokens is RefreshTokens.KEEP:
            return self._pair(Verdict.VALID, None)
        self._refresh.discard(old)
        return self.issue()

    def _pair(self, verdict: Verdict, refresh_token: str | None) -> TokenPair:
        now, seconds = self._clock.now(), self._settings.access_seconds
        token = self._text()
        self._access[token] = _Access(expires=now + timedelta(seconds=seconds), verdict=verdict)
        return TokenPair(
            access_token=token,
            refresh_token=refresh_token,
            expires_in=seconds,
            scope=self._settings.scope,
            created=now,
        )

    def _text(self) -> str:
        return "".join(self._rng.choices(string.ascii_letters + string.digits, k=43))
