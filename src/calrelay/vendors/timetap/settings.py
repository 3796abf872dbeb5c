"""What TimeTap brings to the config: the keys of its accounts, its statuses and the facets of its appointments."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from calrelay.config.secrets import Identifier, Secret
from calrelay.config.section import Count, Rate, Url
from calrelay.config.vendor import ADVANCED, AccountModel, Facet, FilterModel, MatchModel, Role, VendorConfig, zone_keys
from calrelay.domain.event import Extra
from calrelay.domain.people import Role as PersonRole

BASE_URL: Final = "https://api.timetap.com/live"

SUB_STATUSES: Final = ("PENDING_CONFIRMATION", "PENDING_WAITLIST", "CONFIRMED", "CHECKEDIN", "INPROGRESS")
# Tracked ones, and those that are claimed or seen as sub-statuses (TimeTap: Status and deletion).
STATUSES: Final = ("OPEN", "PENDING", "COMPLETED", "CANCELLED", "NO_SHOW", *SUB_STATUSES)
RELAYED: Final = ("OPEN", "COMPLETED")

_ADVANCED: Final[dict[str, Any]] = {ADVANCED: True}


class TimeTapAccount(AccountModel):
    """The keys of a TimeTap account."""

    vendor: Literal["timetap"] = Field(description="Whose account it is.")
    identity_keys: ClassVar[tuple[str, ...]] = ("base_url", "api_key")
    api_key: Identifier = Field(description="API key, a number; it is the business id as a rule.", examples=["340000"])
    private_key: Secret = Field(description="Private key beside it; it is never sent.", examples=[{"file": "/etc/calrelay/timetap.key"}])
    webhook_secret: Secret | None = Field(
        default=None,
        description="Part of the hook's path, only where webhooks are received: TimeTap signs nothing.",
        examples=[{"env": "TIMETAP_HOOK"}],
    )
    zones: Annotated[Mapping[str, str], zone_keys("staff", "location")] = Field(
        default={},
        description="Time zones that overrule the vendor's, by staff or location (rule 5).",
        examples=[{"staff:61001": "America/Chicago"}],
    )
    base_url: Url = Field(default=BASE_URL, description="Where its API is.", json_schema_extra=_ADVANCED)
    page_size: Count = Field(
        default=25, description="Appointments a page; what TimeTap allows at most is unknown.", json_schema_extra=_ADVANCED
    )
    requests_per_second: Rate = Field(default=2.0, description="Evenly spaced; TimeTap documents no limit.", json_schema_extra=_ADVANCED)

    @property
    def rate(self) -> float:
        """Requests per second that this account sends at most."""
        return self.requests_per_second


class TimeTapMatch(MatchModel):
    """The facets of a TimeTap appointment. Staff go by their own and by their user name, services by four."""

    exclusive: ClassVar[frozenset[str]] = frozenset({"locations"})
    numbered: ClassVar[frozenset[str]] = frozenset({"staff", "services"})

    locations: Facet = Field(default=None, description="Locations by name or id.", examples=[["Downtown"]])
    staff: Facet = Field(default=None, description="Staff by name or id.", examples=[["Ada Bell"]])
    services: Facet = Field(default=None, description="Services (TimeTap's reasons) by name or id.", examples=[["Portrait session"]])


class TimeTapFilter(TimeTapMatch, FilterModel):
    """Which TimeTap appointments are relayed."""

    known_statuses: ClassVar[tuple[str, ...]] = STATUSES
    gone_statuses: ClassVar[tuple[str, ...]] = ("CANCELLED",)

    statuses: Annotated[tuple[str, ...], Field(strict=False)] = Field(default=RELAYED, description="Statuses that are relayed.")
    exclude: TimeTapMatch | None = Field(
        default=None, description="Leaves out events that match all facets named here.", examples=[{"services": ["Staff meeting"]}]
    )


VENDOR: Final = VendorConfig(
    name="timetap",
    label="TimeTap",
    role=Role.SOURCE,
    account=TimeTapAccount,
    filter=TimeTapFilter,
    match=TimeTapMatch,
    statuses=RELAYED,
    people=(PersonRole.CLIENT.value, PersonRole.STAFF.value),
    default_people=(PersonRole.CLIENT.value,),
    extras=(Extra.INVITATION_STATUS.value, Extra.NEXT_MESSAGE.value),
    example_account="studio",
)
