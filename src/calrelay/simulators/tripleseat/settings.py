"""The knobs of the Tripleseat simulator: the ways in which the vendor was seen, or may be feared, to behave. No behaviour here."""

import dataclasses
from enum import StrEnum


class AuthFailure(StrEnum):
    """What a request without a valid token gets (Tripleseat: Limits, errors)."""

    UNAUTHORIZED = "unauthorized"  # 401 JSON
    LOGIN_PAGE = "login_page"  # 200 text/html, as seen
    REDIRECT = "redirect"  # 302 to a login page
    NO_OWNER = "no_owner"  # 401 "Token resource owner not found"


class ClientCredentials(StrEnum):
    """What /oauth2/token makes of grant_type=client_credentials; clients disagree, so each of them was seen."""

    OFF = "off"  # 400 unsupported_grant_type
    ON = "on"
    NO_OWNER = "no_owner"  # a token, but every call with it is 401 "Token resource owner not found"


class RefreshTokens(StrEnum):
    """What a refresh does to the refresh token."""

    ROTATE = "rotate"  # a new one in the answer, the old one is dead
    KEEP = "keep"  # none in the answer, the old one lives on


class Deletion(StrEnum):
    """What is left of a deleted event; which of them is true is unknown (Tripleseat: Status and deletion)."""

    GONE = "gone"  # not in search, 404 by id
    MARKED = "marked"  # not in search, by id a body with deleted_at
    LISTED = "listed"  # in search and by id, with deleted_at


class BadDates(StrEnum):
    """What a search makes of a date without its partner, or not written mm/dd/yyyy."""

    IGNORE = "ignore"
    REJECT = "reject"  # 400


class Errors(StrEnum):
    """How validation errors are written: "as a string or collection of strings", and as seen a map of lists."""

    MAP = "map"
    LIST = "list"
    STRING = "string"


class SendWhen(StrEnum):
    """When webhooks go out. Edits from Python always wait for a flush."""

    AT_ONCE = "at_once"  # before the call that made the edit, over the API or /_control, is answered
    ON_FLUSH = "on_flush"


@dataclasses.dataclass(slots=True, kw_only=True)
class TripleseatSettings:
    """How the simulated Tripleseat behaves; obeyed from the next request on."""

    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"  # noqa: S105  # opens nothing but the simulator
    redirect_uri: str = "http://127.0.0.1:8650/callback"  # as registered; "" accepts any
    scope: str = "read"
    public_key: str = "simulated-public-key"
    auto_consent: bool = False
    client_credentials: ClientCredentials = ClientCredentials.OFF
    refresh_tokens: RefreshTokens = RefreshTokens.ROTATE
    access_seconds: int = 7200
    auth_failure: AuthFailure = AuthFailure.UNAUTHORIZED
    requests_per_second: int = 10  # as documented for the events family; 0 = no limit
    requests_per_minute: int = 1200
    retry_after: bool = False  # whether a 429 says when to come back
    page_size: int = 50
    repeat_rows: int = 0  # this many rows at the end of a page come again on the next one
    two_sites: bool = False  # a search without site_id and location_ids finds nothing
    bad_dates: BadDates = BadDates.IGNORE
    wrap_rows: bool = False  # {"event": {...}} in results, as one client expects
    deletion: Deletion = Deletion.GONE
    validation_status: int = 422  # 400 in the documentation, 422 in the field
    errors: Errors = Errors.MAP
    overlaps: bool = False  # whether two events may share a room
    webhook_url: str = ""  # "" = no webhooks
    webhook_key: str = "simulated-signing-key"
    webhook_send: SendWhen = SendWhen.AT_ONCE
    webhook_retries: int = 5
    webhook_retry_seconds: float = 0.0
