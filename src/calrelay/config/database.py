"""The state database's URL: which forms are understood, and where a relative path leads."""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from calrelay.config.secrets import SECRET_SCHEMA, Kind, SecretRef, as_written, read_reference

_SQLITE: Final = "sqlite:///"
_ENCODE: Final = "percent-encode what is no letter or digit in user and password: @ is %40, / is %2F, ? is %3F, # is %23, % is %25"
_FORMS: Final = '"sqlite:///calrelay.db" or "postgresql://user@host/database"'


def check_database_url(url: str) -> str:
    """Return the URL. Raises ValueError with the fix."""
    if url.startswith(_SQLITE):
        path = url.removeprefix(_SQLITE).partition("?")[0]
        if path in {"", "/", ":memory:"}:
            raise ValueError("names no file, so everything would be forgotten at the end — write sqlite:///calrelay.db")
        return url
    if url.startswith("postgres://"):
        raise ValueError("begins with postgres:// — write postgresql://")
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise ValueError(f"is no database this release can use — write {_FORMS}")
    before, at, _ = url.partition("://")[2].rpartition("@")
    if at and any(sign in before for sign in "@/?#"):  # whatever follows the first one would be taken for host or name, and shown
        raise ValueError(f"has an @, /, ? or # where it cannot stand for itself — {_ENCODE}")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"cannot be read as a URL — write {_FORMS}, and {_ENCODE}") from None
    if not parts.path.strip("/"):
        raise ValueError("names no database — write postgresql://user@host/database")
    return url


def absolute_database_url(url: str, folder: Path) -> str:
    """Return the URL with a relative SQLite path made absolute: it starts at the config's folder. Raises ValueError as the check does."""
    check_database_url(url)
    if not url.startswith(_SQLITE):
        return url
    path, question, query = url.removeprefix(_SQLITE).partition("?")
    return f"{_SQLITE}{(folder.absolute() / Path(path).expanduser())}{question}{query}"


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL, None for a server's."""
    return Path(url.removeprefix(_SQLITE).partition("?")[0]) if url.startswith(_SQLITE) else None


def _read(value: object) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    ref = read_reference(value, Kind.PLAIN)
    if ref.kind is not Kind.PLAIN:
        return ref
    url = check_database_url(ref.value.strip())
    return SecretRef(kind=Kind.LITERAL if _has_password(url) else Kind.PLAIN, value=url)


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return not url.startswith(_SQLITE) and (parts.password is not None or "password" in parse_qs(parts.query))


DatabaseUrl = Annotated[SecretRef, PlainValidator(_read), PlainSerializer(as_written), WithJsonSchema(SECRET_SCHEMA)]
"""A URL in any form a secret may have: PostgreSQL's may hold a password."""
