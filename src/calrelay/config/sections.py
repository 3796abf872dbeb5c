"""The tables of config.toml that need to know no other: state, log, web, and a pipeline's window, guards and templates."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from calrelay.config.database import DatabaseUrl
from calrelay.config.durations import PositiveDuration
from calrelay.config.secrets import Kind, Secret, SecretRef
from calrelay.config.section import Address, ListenAddress, Section
from calrelay.config.templates import CustomKey, Template
from calrelay.domain.rendering import CONTENT, LOCATION, TITLE


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """From which weight on a log line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class StateSection(Section):
    """Where calrelay remembers what it did."""

    url: DatabaseUrl = Field(
        default=SecretRef(kind=Kind.PLAIN, value="sqlite:///calrelay.db"),
        description="Database: a file, relative to this config, or postgresql://user@host/database (docs/scaling.md); also { env = … }.",
    )


class LogSection(Section):
    """What is logged, and how; logs go to stderr."""

    format: Annotated[LogFormat, Field(strict=False)] = Field(
        default=LogFormat.AUTO, description="auto: console on a terminal, json elsewhere. Or console, json."
    )
    level: Annotated[LogLevel, Field(strict=False)] = Field(default=LogLevel.INFO, description="debug, info, warning or error.")


class WebSection(Section):
    """What the daemon listens on."""

    listen: ListenAddress = Field(
        default=Address(host="127.0.0.1", port=8642),
        description='Status page, /healthz, /readyz and /metrics; "" switches them off. Beyond loopback it asks for the token.',
    )
    token: Secret | None = Field(
        default=None,
        description="What the page asks for before it shows names or changes anything; none: made in a file beside the state.",
        examples=[{"credential": "web_token"}],
    )
    hooks: ListenAddress = Field(
        default=None,
        description='Receiver of the vendors\' webhooks, such as "127.0.0.1:8643", behind a proxy that has HTTPS. "" is off.',
        json_schema_extra={"default": ""},
    )

    @field_validator("hooks")
    @classmethod
    def _own_address(cls, hooks: Address | None, info: ValidationInfo) -> Address | None:
        if hooks is not None and hooks.port and hooks == info.data.get("listen"):
            raise ValueError("is the address of `listen` — choose another port")
        return hooks


class WindowSection(Section):
    """The span of start times in which a pipeline discovers events; linked ones are looked after beyond it (rule 17)."""

    past: PositiveDuration = Field(default=timedelta(days=1), description="How far back.")
    future: PositiveDuration = Field(default=timedelta(days=180), description="How far ahead.")


class ShiftLimit(Section):
    """A count and a share of the pipeline's live links."""

    count: int = Field(ge=0, description="How many.")
    share: float = Field(ge=0, le=1, description="Of the pipeline's live links, from 0 to 1.")


class GuardLimit(ShiftLimit):
    """A guard that holds when count and share are both exceeded, or `max` alone is."""

    max: int | None = Field(default=None, ge=0, description="Holds above this, whatever the share.")


class GuardsSection(Section):
    """How much one pass may do before somebody decides. A number alone is the count, whatever the share."""

    first_load: int = Field(default=0, ge=0, description="How many events a first load may create unasked (rule 16).")
    creates: GuardLimit = Field(
        default=GuardLimit(count=25, share=0.2), description="Holds new events when count and share are both exceeded."
    )
    updates: GuardLimit = Field(
        default=GuardLimit(count=20, share=0.5), description="Holds updates when count and share are both exceeded."
    )
    deletes: GuardLimit = Field(
        default=GuardLimit(count=5, share=0.2, max=25),
        description="Holds deletes when count and share, or max, are exceeded; the last 24 h count too.",
    )
    same_shift: ShiftLimit = Field(
        default=ShiftLimit(count=5, share=0.1),
        description="Holds bookings moved by the same amount, from this count and share on.",
    )

    @field_validator("creates", "updates", "deletes", "same_shift", mode="before")
    @classmethod
    def _short_form(cls, value: object, info: ValidationInfo) -> object:
        """Read a number alone as the count that decides by itself; in a table, keys left out keep the guard's defaults."""
        if isinstance(value, int) and not isinstance(value, bool):
            return {"count": value, "share": 0.0}
        if isinstance(value, dict) and info.field_name is not None:
            default: ShiftLimit = cls.model_fields[info.field_name].default
            return default.model_dump() | value
        if not isinstance(value, ShiftLimit):
            raise ValueError("is no guard — write a count, or a table such as { count = 25, share = 0.2 }")  # noqa: TRY004 - pydantic's way
        return value


class EventSection(Section):
    """Sandboxed templates (Jinja2) over the canonical event; the fields they may use are in docs/templates.md."""

    title: Template = Field(default=TITLE, description="The entry's title.")
    location: Template = Field(default=LOCATION, description="The entry's location.")
    content: Template = Field(default=CONTENT, description="The entry's body; the message mode adds its hashtag.")
    custom_data: Mapping[CustomKey, Template] = Field(
        default={},
        description="Custom data beyond what the source gives, for Apptoto's conditions.",
        examples=[{"hall": "{{ event.location }}"}],
    )
