"""What Apptoto brings to the config: the keys of its accounts. Events are written to it, so it has no filter."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from calrelay.config.durations import PositiveDuration
from calrelay.config.secrets import Identifier, Secret
from calrelay.config.section import Count, Rate, Url
from calrelay.config.vendor import ADVANCED, AccountModel, Role, VendorConfig

BASE_URL: Final = "https://api.apptoto.com/v1"

_ADVANCED: Final[dict[str, Any]] = {ADVANCED: True}


class TimeZoneNames(StrEnum):
    """In which words an event's `time_zone` is sent; it only decides how times read in messages (Apptoto: Time and zones)."""

    RAILS = "rails"
    IANA = "iana"
    OMIT = "omit"


class ApptotoAccount(AccountModel):
    """The keys of an Apptoto account."""

    vendor: Literal["apptoto"] = Field(description="Whose account it is.")
    identity_keys: ClassVar[tuple[str, ...]] = ("base_url", "username")
    username: Identifier = Field(description="User name, an e-mail address.", examples=["ops@example.com"])
    api_key: Secret = Field(description="API key, as Apptoto's Developer Tools show it.", examples=[{"credential": "apptoto"}])
    schedule: Annotated[tuple[PositiveDuration, ...], Field(strict=False)] = Field(
        default=(), description="When Apptoto reminds; no API tells it, and only `messages` uses it.", examples=[["24h", "1h"]]
    )
    base_url: Url = Field(default=BASE_URL, description="Where its API is.", json_schema_extra=_ADVANCED)
    requests_per_minute: Rate = Field(default=90.0, description="Evenly spaced; above 100 Apptoto refuses.", json_schema_extra=_ADVANCED)
    batch_size: Count = Field(default=10, description="Events a request; more than 15 led to 502s.", json_schema_extra=_ADVANCED)
    max_in_flight: Count = Field(default=1, description="Requests under way at the same time.", json_schema_extra=_ADVANCED)
    time_zone_names: Annotated[TimeZoneNames, Field(strict=False)] = Field(
        default=TimeZoneNames.RAILS, description="rails, iana or omit: how an event's time zone is named.", json_schema_extra=_ADVANCED
    )

    @property
    def rate(self) -> float:
        """Requests per second that this account sends at most."""
        return self.requests_per_minute / 60

    @property
    def reminders(self) -> tuple[timedelta, ...]:
        """How long before an event Apptoto reminds, longest first; empty where nobody said."""
        return tuple(sorted(self.schedule, reverse=True))


VENDOR: Final = VendorConfig(
    name="apptoto",
    label="Apptoto",
    role=Role.TARGET,
    account=ApptotoAccount,
    known_requests_per_second=100 / 60,  # "burst rate limit, 100 requests per minute" (Apptoto: Limits)
    example_account="reminders",
)
