"""What all tables of the config share: closed, frozen, strictly typed models, and the small types their keys are made of."""

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from calrelay.domain.zones import Zone, resolve_zone
from calrelay.errors import MappingError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


class Section(BaseModel):
    """A table of the config: unknown keys are errors, values do not change, and "5" is no number."""

    # A table within another is validated by that one: what would validate it alone is built where somebody asks for it.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser finds it: what listens on all addresses goes by this machine's name."""
        host = socket.gethostname() if self.host in _ANYWHERE else self.host
        return f"http://{Address(host=host, port=self.port)}/"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Say whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "localhost.localdomain"}


def check_name(name: str) -> str:
    """Return a pipeline's or account's name. Raises ValueError with the fix."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"“{name[:40]}” is no usable name — use up to 64 letters, digits, -, _ and ., beginning with a letter or digit")
    return name


def check_scoped_name(name: str) -> str:
    """Return a name as it is known outside of its file: NAME, or TENANT/NAME. Raises ValueError with the fix."""
    tenant, scope, own = name.partition("/")
    for part in (tenant, own) if scope else (name,):
        check_name(part)
    return name


def check_zones(kinds: tuple[str, ...], zones: Mapping[str, str]) -> Mapping[str, Zone]:
    """Return zone overrides with canonical zones; keys are like "location:2601". Raises ValueError naming every bad one."""
    faults = []
    found: dict[str, Zone] = {}
    for key, name in zones.items():
        kind, colon, identity = key.partition(":")
        if kind not in kinds or not colon or not identity.strip():
            forms = " or ".join(f'"{kind}:ID"' for kind in kinds)
            faults.append(f"“{key}” names no place — write {forms}")
            continue
        try:
            found[f"{kind}:{identity.strip()}"] = resolve_zone(name)
        except MappingError:
            faults.append(f"“{name}” (for {key}) is no time zone — write an IANA id such as America/New_York")
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no URL — write https://HOST/PATH") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("is no URL — write https://HOST/PATH")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("has a user, query or fragment — write only https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("is http:// to another machine, which would send secrets in the clear — write https://")
    return value.rstrip("/")


def _address(value: object) -> Address | None:
    if value == "":
        return None
    if isinstance(value, Address):
        return value
    found = _HOST_PORT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or int(found["port"]) > 65_535:
        raise ValueError('is no address to listen on — write "HOST:PORT" such as "127.0.0.1:8642", or "" for none')
    return Address(host=found["host"].strip("[]"), port=int(found["port"]))


def address_as_written(address: Address | None) -> str:
    """Write an address as it is read; "" for none."""
    return "" if address is None else str(address)


def _some_text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty — write a text, or leave the key out")
    return value.strip()


def _values(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError('is no list — write names or ids in brackets, such as ["Terrace"]')  # noqa: TRY004 - pydantic wants ValueError
    if not value:
        raise ValueError("is an empty list, which nothing would match — leave the key out to match all")
    if not all(isinstance(item, str | int) and not isinstance(item, bool) and str(item).strip() for item in value):
        raise ValueError('holds something that is no name or id — write texts or whole numbers, such as ["Terrace", 2601]')
    return tuple(str(item).strip() for item in value)


def _identity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError("is no id — write the number")
    return str(value).strip()


_VALUES_SCHEMA: Final = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "minItems": 1}

Text = Annotated[str, AfterValidator(_some_text)]
Url = Annotated[str, AfterValidator(_url)]
ListenAddress = Annotated[Address | None, PlainValidator(_address), PlainSerializer(address_as_written), WithJsonSchema({"type": "string"})]
Values = Annotated[tuple[str, ...], PlainValidator(_values), WithJsonSchema(_VALUES_SCHEMA)]
"""Names or ids, as they are written; comparing folds their case."""
Identity = Annotated[str, PlainValidator(_identity), WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})]
"""A vendor's id: a number of any length, kept as text."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
