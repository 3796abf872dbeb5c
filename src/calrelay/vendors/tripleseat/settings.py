"""What Tripleseat brings to the config: the keys of its accounts, its statuses and the facets of its events."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from calrelay.config.secrets import Identifier, Secret
from calrelay.config.section import Identity, Rate, Text, Url
from calrelay.config.vendor import ADVANCED, AccountModel, Facet, FilterModel, MatchModel, Role, VendorConfig, zone_keys
from calrelay.domain.people import Role as PersonRole

BASE_URL: Final = "https://api.tripleseat.com/v1"
AUTHORIZE_URL: Final = "https://login.tripleseat.com/oauth2/authorize"  # login., neither api. nor the tenant's (Tripleseat: Authentication)
TOKEN_URL: Final = "https://api.tripleseat.com/oauth2/token"  # noqa: S105 - where tokens come from, not one
REDIRECT_URI: Final = "http://127.0.0.1:8650/callback"

STATUSES: Final = ("PROSPECT", "TENTATIVE", "DEFINITE", "CLOSED", "LOST", "WAITLIST")  # Tripleseat: Status and deletion
RELAYED: Final = ("DEFINITE", "CLOSED")

_ADVANCED: Final[dict[str, Any]] = {ADVANCED: True}


class Auth(StrEnum):
    """The OAuth 2.0 grant by which tokens are obtained."""

    AUTHORIZATION_CODE = "authorization_code"
    CLIENT_CREDENTIALS = "client_credentials"


def _beside(data: Mapping[str, Any], real: str) -> str:
    """Return the address of an OAuth page: the real one, or below the host that `base_url` names instead of Tripleseat's."""
    base = data["base_url"]
    if base == BASE_URL:
        return real
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}{urlsplit(real).path}"


class TripleseatAccount(AccountModel):
    """The keys of a Tripleseat account."""

    vendor: Literal["tripleseat"] = Field(description="Whose account it is.")
    identity_keys: ClassVar[tuple[str, ...]] = ("base_url", "client_id")
    client_id: Identifier = Field(description="UID of the OAuth 2.0 client application in Tripleseat.", examples=["your-application-uid"])
    client_secret: Secret = Field(description="Its secret.", examples=[{"env": "TRIPLESEAT_CLIENT_SECRET"}])
    redirect_uri: Url = Field(default=REDIRECT_URI, description="The application's redirect URL, exactly as registered.")
    auth: Annotated[Auth, Field(strict=False)] = Field(
        default=Auth.AUTHORIZATION_CODE,
        description="authorization_code, or client_credentials, which not every application may use.",
    )
    webhook_secret: Secret | None = Field(
        default=None, description="Signing key, only where webhooks are received.", examples=[{"env": "TRIPLESEAT_SIGNING_KEY"}]
    )
    zones: Annotated[Mapping[str, str], zone_keys("location", "site")] = Field(
        default={},
        description="Time zones that overrule the vendor's, by location or site (rule 5).",
        examples=[{"location:2601": "America/Vancouver"}],
    )
    base_url: Url = Field(default=BASE_URL, description="Where its API is.", json_schema_extra=_ADVANCED)
    authorize_url: Url = Field(
        default_factory=lambda data: _beside(data, AUTHORIZE_URL),
        description="Where consent is asked for.",
        json_schema_extra=_ADVANCED | {"default": AUTHORIZE_URL},
    )
    token_url: Url = Field(
        default_factory=lambda data: _beside(data, TOKEN_URL),
        description="Where tokens are fetched.",
        json_schema_extra=_ADVANCED | {"default": TOKEN_URL},
    )
    scope: Text = Field(default="read", description="OAuth scope, as the application was given it.", json_schema_extra=_ADVANCED)
    site_id: Identity | None = Field(
        default=None, description="Reads only this site; needed where an account has several.", examples=[1501], json_schema_extra=_ADVANCED
    )
    location_ids: Facet = Field(
        default=None,
        description="Reads only these locations; needed together with site_id.",
        examples=[[2601]],
        json_schema_extra=_ADVANCED,
    )
    public_key: Secret | None = Field(
        default=None,
        description="Lead-form key, with which `check` can show sites and rooms before consent.",
        examples=[{"env": "TRIPLESEAT_PUBLIC_KEY"}],
        json_schema_extra=_ADVANCED,
    )
    requests_per_second: Rate = Field(
        default=3.0, description="Evenly spaced; 429s were seen above 3, 10 are documented.", json_schema_extra=_ADVANCED
    )

    @property
    def needs_consent(self) -> bool:
        """Whether somebody must consent once, by `login`."""
        return self.auth is Auth.AUTHORIZATION_CODE

    @property
    def rate(self) -> float:
        """Requests per second that this account sends at most."""
        return self.requests_per_second


class TripleseatMatch(MatchModel):
    """The facets of a Tripleseat event, which may be in several rooms."""

    exclusive: ClassVar[frozenset[str]] = frozenset({"event_types", "locations"})

    event_types: Facet = Field(default=None, description="Event types by name.", examples=[["Wedding", "Corporate"]])
    locations: Facet = Field(default=None, description="Locations by name or id.", examples=[["Alder House"]])
    rooms: Facet = Field(default=None, description="Rooms by name or id.", examples=[["Terrace"]])


class TripleseatFilter(TripleseatMatch, FilterModel):
    """Which Tripleseat events are relayed."""

    known_statuses: ClassVar[tuple[str, ...]] = STATUSES
    gone_statuses: ClassVar[tuple[str, ...]] = ("LOST",)

    statuses: Annotated[tuple[str, ...], Field(strict=False)] = Field(default=RELAYED, description="Statuses that are relayed.")
    exclude: TripleseatMatch | None = Field(
        default=None, description="Leaves out events that match all facets named here.", examples=[{"rooms": ["Storage"]}]
    )


VENDOR: Final = VendorConfig(
    name="tripleseat",
    label="Tripleseat",
    role=Role.SOURCE,
    account=TripleseatAccount,
    filter=TripleseatFilter,
    match=TripleseatMatch,
    statuses=RELAYED,
    people=(PersonRole.CONTACT.value, PersonRole.SECONDARY_CONTACT.value, PersonRole.OWNER.value),
    default_people=(PersonRole.CONTACT.value,),
    known_requests_per_second=10.0,  # documented; 429s were seen above 3 (Tripleseat: Limits), which is the default
    example_account="venue",
)
