"""Runs `login`: asks for consent in a browser, trades its code for tokens, and keeps the tokens before until the new ones have worked."""

import dataclasses
import hmac
import os
import secrets
import webbrowser
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit

from calrelay.assembly import Relay, assemble
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.redirect import Awaited, await_answer
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.domain.words import iso
from calrelay.errors import AuthFailed, ConfigError, VendorError
from calrelay.log import register_secret
from calrelay.ports import Fact
from calrelay.vendors.registry import VENDORS
from calrelay.vendors.tripleseat.auth import OAuthApp, authorize_url, consent_missing, exchange_code
from calrelay.vendors.tripleseat.settings import Auth, TripleseatAccount


class Browser(StrEnum):
    """Whether a browser may be opened."""

    OPENED = "opened"
    CLOSED = "closed"


def login(session: Session, output: Output, name: str, *, code: str | None, browser: Browser) -> int:
    """Get a consent and prove that it works. Raises ConfigError where the account needs none, VendorError where none was got."""
    config = session.load()
    app = _app(config, name)
    session.run(_log_in(config, output, name, app, code=code, browser=browser))
    return 0


def _app(config: Config, name: str) -> OAuthApp:
    account = config.account(name)
    if not isinstance(account, TripleseatAccount):
        label = VENDORS[account.vendor].label
        raise ConfigError(f"account {name} is one of {label}, which needs no login", remedy="`calrelay check` proves its credentials")
    if account.auth is Auth.CLIENT_CREDENTIALS:
        raise ConfigError(
            f"account {name} needs no login: it signs in by its client_credentials",
            remedy='`calrelay check` proves them; for a login set auth = "authorization_code"',
        )
    app = OAuthApp.of(account, client_id=config.resolve(account.client_id), client_secret=config.resolve(account.client_secret))
    register_secret(app.client_secret)
    return app


async def _log_in(config: Config, output: Output, name: str, app: OAuthApp, *, code: str | None, browser: Browser) -> None:
    alone = dataclasses.replace(config, accounts={name: config.account(name)}, pipelines=())
    async with assemble(alone, command="login") as relay:  # first of all: a code that cannot be kept is a code lost
        given = code_of(code, None, name) if code is not None else await _consent(output, name, app, browser)
        register_secret(given)
        pair = await exchange_code(app, given, account=name, now=relay.clock)
        with relay.tokens.refreshing(name):  # so that no refresh of the old pair overwrites the new one
            relay.tokens.save(name, pair)
        facts = await _proven(relay, name)
    _tell(output, name, pair.expires_at, facts)


async def _proven(relay: Relay, name: str) -> list[Fact]:
    """Read something with the new pair. Goes back to the old one when the new one is refused, and keeps both when nobody can tell."""
    try:
        facts = list(await relay.ends[name].probe())
    except AuthFailed:
        if relay.tokens.restore(name) is None:
            relay.tokens.forget(name)
        raise
    except VendorError as error:
        raise type(error)(
            f"the consent is stored, but could not be tried out: {error.message}",
            remedy="run `calrelay check` when Tripleseat answers again",
            account=name,
            status=error.status,
        ) from None
    relay.tokens.confirm(name)
    return facts


def _tell(output: Output, name: str, expires_at: datetime, facts: list[Fact]) -> None:
    document = {
        "account": name,
        "access_token_expires_at": iso(expires_at),
        "facts": [{"name": fact.name, "value": fact.value, "warning": fact.warning or None} for fact in facts],
    }
    blocks: list[Block] = [
        f"{name} is logged in, and it works:",
        Table(rows=[(fact.name, fact.value) for fact in facts], indent=2),
        "",
        "The tokens renew themselves from now on. `calrelay check` looks at everything.",
    ]
    output.answer(document, blocks)


# --- consent ---


async def _consent(output: Output, name: str, app: OAuthApp, browser: Browser) -> str:
    """Return the code of a new consent."""
    state = secrets.token_urlsafe(24)
    url = authorize_url(app, state)

    def show() -> None:
        output.say("Consent here, as somebody who may see all events:", "", f"  {url}", "")
        if browser is Browser.OPENED and _has_browser(os.environ):
            webbrowser.open(url)

    awaited = Awaited(account=name, redirect_uri=app.redirect_uri, show=show, accept=lambda answer: code_of(answer, state, name))
    return await await_answer(output, awaited)


def _has_browser(environment: Mapping[str, str]) -> bool:
    """Whether there is a screen. Without one `webbrowser` would run lynx or w3m in this very terminal."""
    return any(environment.get(variable) for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def code_of(answer: str, state: str | None, account: str) -> str:
    """Return the code out of the address somebody was led back to, or of what was pasted; a code alone has no state to compare.

    `state` is what we sent, None where the consent was asked for by an earlier run. Raises AuthFailed for another state, a refusal, and
    an answer without a code.
    """
    answer = answer.strip()
    if "code=" not in answer and "error=" not in answer and "://" not in answer:
        return _some_code(answer, account)
    query: dict[str, Any] = parse_qs(urlsplit(answer if "?" in answer else f"?{answer}").query)
    first = {key: values[0] for key, values in query.items()}
    if state is not None and not hmac.compare_digest(first.get("state", "").encode(), state.encode()):
        raise AuthFailed(
            f"the answer does not belong to this login of {account}: its `state` is another.",
            remedy=f"Run `calrelay login {account}` again, and use the newest address only.",
            account=account,
        )
    if "error" in first:
        said = "consent was declined" if first["error"] == "access_denied" else "Tripleseat refused to ask for it"
        raise consent_missing(account, said)
    return _some_code(first.get("code", ""), account)


def _some_code(code: str, account: str) -> str:
    if not code or not code.isascii() or any(sign.isspace() for sign in code):
        raise consent_missing(account, "the answer holds no code")
    return code
