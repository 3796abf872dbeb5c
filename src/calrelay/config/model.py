"""The models of pipelines, accounts and the whole of config.toml. Example, schema, reference and validation come from them."""

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, SerializeAsAny, ValidationInfo, WithJsonSchema, field_validator

from calrelay.config.durations import DayHours, Duration, PositiveDuration
from calrelay.config.notify import NotifySection
from calrelay.config.section import Section, Text, check_name
from calrelay.config.sections import EventSection, GuardsSection, LogSection, StateSection, WebSection, WindowSection
from calrelay.config.vendor import ADVANCED, AccountModel, FilterModel, MatchModel, VendorConfig, suggestion
from calrelay.domain.link import TRIAL, MessageMode

_NEAR: Final = timedelta(days=14)
_FULL_EVERY: Final = timedelta(hours=1)
_ADVANCED: Final[dict[str, Any]] = {ADVANCED: True}

Name = Annotated[str, AfterValidator(check_name)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a pipeline is checked against: the vendors of this release, and which account is whose."""

    vendors: Mapping[str, VendorConfig]
    accounts: Mapping[str, str]  # account to vendor, as written

    def vendor_of(self, account: object) -> VendorConfig | None:
        """Return the vendor of an account, None where either is unknown."""
        return self.vendors.get(self.accounts.get(account, "")) if isinstance(account, str) else None


class WithoutContact(StrEnum):
    """What becomes of an event with nobody to reach (rule 10)."""

    SKIP = "skip"
    SEND = "send"


def _calendar_id(value: object) -> str:
    identity = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not identity.isdecimal():
        raise ValueError("is no calendar id — write the number")
    return identity


def _either(identity: str | None, info: ValidationInfo) -> str | None:
    if "calendar" not in info.data:
        return identity  # the name is wrong by itself, and said so
    has_name = info.data["calendar"] is not None
    if identity is None and not has_name:
        raise ValueError("neither `calendar` nor `calendar_id` is given — name one of them")
    if identity is not None and has_name:
        raise ValueError("both `calendar` and `calendar_id` are given — keep one of them")
    return identity


CalendarIdentity = Annotated[
    Annotated[str, PlainValidator(_calendar_id), WithJsonSchema({"type": "integer"})] | None, AfterValidator(_either)
]


class RouteSection(Section):
    """Events that match go to this calendar."""

    match: Annotated[SerializeAsAny[MatchModel], WithJsonSchema({})] = Field(
        description="Facets the event must show: of each named one, one of its values.", examples=[{"rooms": ["Terrace"]}]
    )
    calendar: Text | None = Field(default=None, description="The target's calendar for them, by name.", examples=["Terrace"])
    calendar_id: CalendarIdentity = Field(
        default=None, description="The same by its id, instead of `calendar`.", examples=[1000030002], validate_default=True
    )

    @field_validator("match", mode="before")
    @classmethod
    def _of_the_source(cls, value: object, info: ValidationInfo) -> MatchModel:
        if isinstance(value, MatchModel):
            return value
        vendor = info.context
        if not isinstance(vendor, VendorConfig) or vendor.match is None:
            return MatchModel()  # the source is unknown, which is reported where it is named
        match = vendor.match.model_validate(value)
        if not match.facets:
            raise ValueError("names no facet, so every event would match — use the pipeline's own calendar for that")
        return match


def _read_route(value: object, info: ValidationInfo) -> RouteSection:
    return value if isinstance(value, RouteSection) else RouteSection.model_validate(value, context=_source_vendor(info))


def _source_vendor(info: ValidationInfo) -> VendorConfig | None:
    known = info.context
    return known.vendor_of(info.data.get("source")) if isinstance(known, Known) else None


Route = Annotated[RouteSection, PlainValidator(_read_route), WithJsonSchema({})]


class Pipeline(Section):
    """One source account to one target account."""

    name: Name = Field(description="Its name in commands, logs and the state; `calrelay rename` changes it.", examples=["venue"])
    source: str = Field(description="The account that is read.", examples=["venue"])
    target: str = Field(description="The account that is written.", examples=["reminders"])
    calendar: Text | None = Field(default=None, description="The target's calendar, by name; it is never created.", examples=["Main Hall"])
    calendar_id: CalendarIdentity = Field(
        default=None, description="The target's calendar by its id, instead of `calendar`.", examples=[1000030001], validate_default=True
    )
    enabled: bool = Field(default=True, description="false leaves the pipeline out of every pass.", json_schema_extra=_ADVANCED)
    every: PositiveDuration = Field(
        default=timedelta(minutes=5), description="How often changes are read, or the next `near` days where the source cannot tell."
    )
    window: WindowSection = Field(default=WindowSection(), description="The span of start times in which events are discovered.")
    near: PositiveDuration = Field(
        default_factory=lambda data: min(_NEAR, data["window"].future),
        description="How far ahead a quick read looks; never beyond window.future.",
        json_schema_extra={"default": "14d"},
    )
    full_every: PositiveDuration = Field(
        default_factory=lambda data: max(_FULL_EVERY, data["every"]),
        description="How often the whole window is read; never more often than `every`.",
        json_schema_extra={"default": "1h"},
    )
    messages: Annotated[MessageMode, Field(strict=False)] = Field(
        default=MessageMode.SEND, description="send, auto, no-booking or skip: how new events are marked for messaging (rule 16)."
    )
    settle: Duration = Field(default=timedelta(0), description="A change waits until two reads this far apart agree.")
    create_hours: DayHours | None = Field(
        default=None, description="New events are created only then, on the clock of their place.", examples=["08:00-20:00"]
    )
    region: str = Field(default="US", description="Country of phone numbers without a country code (ISO 3166).")
    people: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=None, description="Who of an event is messaged.", json_schema_extra={"default": ["contact"]}, validate_default=True
    )
    extras: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="TimeTap only: custom data about its own messages, for some requests an hour: invitation_status, next_message.",
        examples=[["invitation_status", "next_message"]],
        json_schema_extra=_ADVANCED,
    )
    without_contact: Annotated[WithoutContact, Field(strict=False)] = Field(
        default=WithoutContact.SKIP, description="skip or send: what becomes of an event with nobody to reach."
    )
    id_prefix: str = Field(
        default="",
        description="Before every external id, where two sources could clash.",
        pattern=r"^[A-Za-z0-9_-]{0,32}$",
        examples=["west-"],
        json_schema_extra=_ADVANCED,
    )
    filter: Annotated[SerializeAsAny[FilterModel], WithJsonSchema({})] = Field(
        default=None,
        description="Which events are relayed; what an edit lets in or takes out is held until you decide.",
        validate_default=True,
    )
    routes: Annotated[tuple[Route, ...], Field(strict=False)] = Field(
        default=(), description="Calendars for events that match; the first match wins, and none matching leaves the pipeline's own."
    )
    event: EventSection = Field(default=EventSection(), description="Templates of the entry's texts.")
    guards: GuardsSection = Field(default=GuardsSection(), description="Checks over a whole pass.")

    @field_validator("source", "target")
    @classmethod
    def _an_account(cls, account: str, info: ValidationInfo) -> str:
        known = info.context
        if not isinstance(known, Known):
            return account
        if account not in known.accounts:
            raise ValueError(f"“{account}” is no account of this file{suggestion(account, list(known.accounts))}")
        vendor = known.vendor_of(account)
        if vendor is not None and vendor.role != info.field_name:
            fitting = [name for name in known.accounts if (other := known.vendor_of(name)) and other.role == info.field_name]
            raise ValueError(f"“{account}” is an account of {vendor.label}, which is a {vendor.role}{suggestion('', fitting)}")
        return account

    @field_validator("near")
    @classmethod
    def _within_the_window(cls, near: timedelta, info: ValidationInfo) -> timedelta:
        window = info.data.get("window")
        if window is not None and near > window.future:
            raise ValueError("looks further ahead than window.future — shorten it, or widen the window")
        return near

    @field_validator("full_every")
    @classmethod
    def _not_more_often_than_every(cls, full_every: timedelta, info: ValidationInfo) -> timedelta:
        if full_every < info.data.get("every", full_every):
            raise ValueError("is shorter than `every` — make it as long or longer")
        return full_every

    @field_validator("id_prefix")
    @classmethod
    def _not_a_trial(cls, prefix: str) -> str:
        if prefix.casefold().startswith(TRIAL):
            raise ValueError(f"begins with {TRIAL}, under which `calrelay try` puts its copies — choose another")
        return prefix

    @field_validator("region")
    @classmethod
    def _a_region(cls, region: str) -> str:
        from calrelay.domain.phones import REGIONS  # noqa: PLC0415 - heavy, and seldom asked: the default is right for most

        found = region.strip().upper()
        if found not in REGIONS:
            raise ValueError(f"“{region[:20]}” is no country with phone numbers — write two letters of ISO 3166 such as US or CA")
        return found

    @field_validator("people", mode="before")
    @classmethod
    def _people_of_the_source(cls, value: object, info: ValidationInfo) -> object:
        vendor = _source_vendor(info)
        if value is None:
            return vendor.default_people if vendor is not None else ()
        if vendor is None or not isinstance(value, list | tuple):
            return value
        if not value:
            raise ValueError(f"is empty, so nobody would be messaged — name some of {', '.join(vendor.people)}")
        unknown = [word for word in value if word not in vendor.people]
        if unknown:
            raise ValueError(f"“{unknown[0]}” is nobody {vendor.label} knows{suggestion(str(unknown[0]), vendor.people)}")
        return tuple(dict.fromkeys(value))

    @field_validator("extras", mode="before")
    @classmethod
    def _extras_of_the_source(cls, value: object, info: ValidationInfo) -> object:
        vendor = _source_vendor(info)
        if vendor is None or not isinstance(value, list | tuple):
            return value
        if value and not vendor.extras:
            raise ValueError(f"{vendor.label} offers none — leave it out")
        unknown = [word for word in value if word not in vendor.extras]
        if unknown:
            raise ValueError(f"“{unknown[0]}” is nothing {vendor.label} offers{suggestion(str(unknown[0]), vendor.extras)}")
        return tuple(dict.fromkeys(value))

    @field_validator("filter", mode="before")
    @classmethod
    def _filter_of_the_source(cls, value: object, info: ValidationInfo) -> FilterModel:
        if isinstance(value, FilterModel):
            return value
        vendor = _source_vendor(info)
        if vendor is None or vendor.filter is None:
            return FilterModel()  # the source is unknown, which is reported where it is named
        return vendor.filter.model_validate({} if value is None else value)


def _read_account(value: object, info: ValidationInfo) -> AccountModel:
    known = info.context
    if isinstance(value, AccountModel) or not isinstance(known, Known):
        return AccountModel.model_validate(value)
    vendor = known.vendors.get(str(value.get("vendor"))) if isinstance(value, dict) else None
    return (vendor.account if vendor is not None else _NoVendor).model_validate(value, context=known)


class _NoVendor(AccountModel):
    """An account of which nothing can be said but that its vendor is missing or unknown."""

    model_config = ConfigDict(extra="ignore")

    @field_validator("vendor")
    @classmethod
    def _unknown(cls, vendor: str, info: ValidationInfo) -> str:
        known = list(info.context.vendors) if isinstance(info.context, Known) else []
        raise ValueError(f"“{vendor[:40]}” is no vendor this release knows{suggestion(vendor, known)}")


Account = Annotated[SerializeAsAny[AccountModel], PlainValidator(_read_account), WithJsonSchema({})]
Accounts = Annotated[Mapping[Name, Account], Field(description="One set of credentials at one vendor each, by name.")]
Pipelines = Annotated[tuple[Pipeline, ...], Field(strict=False, description="One source account to one target account each.")]


class Document(Section):
    """Everything a config.toml may hold."""

    include: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        default=(),
        description="Files of tenants, from this file's folder: each holds accounts and pipelines of one (docs/operations/tenants.md).",
        examples=[["tenants/*.toml"]],
        json_schema_extra=_ADVANCED,
    )
    state: StateSection = Field(default=StateSection(), description="Where calrelay remembers what it did.")
    log: LogSection = Field(default=LogSection(), description="What is logged, and how.")
    web: WebSection = Field(default=WebSection(), description="What the daemon listens on.")
    notify: NotifySection = Field(default=NotifySection(), description="Who is told, unasked, that something needs somebody.")
    accounts: Accounts = Field(default={})
    pipelines: Pipelines = ()


class TenantDocument(Section):
    """Everything a tenant's file may hold; the rest is said once for all, in the config itself."""

    accounts: Accounts = Field(default={})
    pipelines: Pipelines = ()
