"""The table `[notify]`: who is told when something begins or ends, and who misses us when we are silent. Sends nothing itself."""

from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from calrelay.config.durations import PositiveDuration
from calrelay.config.secrets import Kind, Secret, SecretRef
from calrelay.config.section import Section

_FORM: Final = "write https://HOST/PATH, as the service that watches shows it"


def check_ping_url(url: str) -> str:
    """Return the address. Raises ValueError with the fix, and without the address: whoever knows it can pretend that we live."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"is no URL — {_FORM}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"is no URL to ask — {_FORM}")
    return url


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if words and not words[0].strip():
        raise ValueError('names no program — write a list such as ["/usr/local/bin/tell-me"], or [] for none')
    return words


def _ping_url(ref: SecretRef | None) -> SecretRef | None:
    if ref is not None and ref.kind is Kind.LITERAL:
        check_ping_url(ref.value)
    return ref


class NotifySection(Section):
    """Who is told, unasked, that something needs somebody; docs/operations/alerts.md says of what."""

    command: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_command)] = Field(
        default=(),
        description="Run without a shell when something begins or ends; JSON on stdin, a line in $CALRELAY_SUMMARY. [] is nobody.",
        examples=[["/usr/local/bin/tell-me"]],
    )
    ping_url: Annotated[Secret | None, AfterValidator(_ping_url)] = Field(
        default=None,
        description="Asked while every pipeline is fresh, so that a service that watches misses us when one is not, or we are gone.",
        examples=[{"credential": "ping_url"}],
    )
    ping_every: PositiveDuration = Field(default=timedelta(minutes=1), description="How often ping_url is asked.")
