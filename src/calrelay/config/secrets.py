"""Where a secret is found, and how it is fetched when it is needed. Loading a config fetches none."""

import dataclasses
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from calrelay.errors import ConfigError

CREDENTIALS_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), LoadCredential=
_FOLDER_ID: Final = "calrelay"  # LoadCredential=calrelay:FOLDER/ names what it finds there calrelay_NAME
_FORMS: Final = '"text", { env = "VARIABLE" }, { file = "PATH" } or { credential = "NAME" }'
_LARGEST_FILE: Final = 65_536  # bytes; a secret is a line, so a larger file is the wrong one


class Kind(StrEnum):
    """In which form a value stands in the config."""

    PLAIN = "plain"  # the value itself, of a key that is no secret by itself, such as a user name
    LITERAL = "literal"  # the secret itself
    ENV = "env"
    FILE = "file"
    CREDENTIAL = "credential"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """A secret, or the place it is found in. `where` is its path in the config, for messages."""

    kind: Kind
    value: str = dataclasses.field(repr=False)
    where: str = ""

    def __repr__(self) -> str:
        shown = "…" if self.kind is Kind.LITERAL else self.value
        return f"SecretRef({self.kind}: {shown})"

    @property
    def is_literal(self) -> bool:
        """Whether the config itself holds the secret."""
        return self.kind is Kind.LITERAL

    def resolve(self, base_folder: Path) -> str:
        """Fetch the value, without the line end that editors leave behind.

        A relative `file` starts at `base_folder`, the folder of the config. Raises ConfigError when there is none, or it is empty.
        """
        match self.kind:
            case Kind.PLAIN | Kind.LITERAL:
                found = self.value
            case Kind.ENV:
                found = self._from_environment()
            case Kind.FILE:
                found = self._from_file(base_folder / Path(self.value).expanduser(), f"make the file, or name another in {self._name}")
            case Kind.CREDENTIAL:
                found = self._from_credential()
        secret = found.rstrip("\r\n")
        if not secret.strip():
            raise self._missing(f"{self._source} is empty", "put the secret into it")
        return secret

    @property
    def _name(self) -> str:
        return self.where or "the config"

    @property
    def _source(self) -> str:
        match self.kind:
            case Kind.ENV:
                return f"the environment variable {self.value}"
            case Kind.FILE:
                return f"the file {self.value}"
            case Kind.CREDENTIAL:
                return f"the credential {self.value}"
            case _:
                return "the value"

    def _from_environment(self) -> str:
        found = os.environ.get(self.value)
        if found is None:
            raise self._missing(f"{self._source} is not set", f"set {self.value}, or name another place in {self._name}")
        return found

    def _from_credential(self) -> str:
        folder = os.environ.get(CREDENTIALS_DIRECTORY)
        if not folder:
            raise self._missing(
                f"{self._source} cannot be read: ${CREDENTIALS_DIRECTORY} is not set",
                f"start calrelay by systemd with LoadCredential={self.value}:PATH, or use another form: {_FORMS}",
            )
        own, of_a_folder = Path(folder) / self.value, Path(folder) / f"{_FOLDER_ID}_{self.value}"
        remedy = (
            f"put it into /etc/calrelay/credentials/{self.value} and restart, or add LoadCredential={self.value}:PATH to the systemd unit"
        )
        return self._from_file(of_a_folder if of_a_folder.exists() and not own.exists() else own, remedy)

    def _from_file(self, path: Path, remedy: str) -> str:
        try:
            with path.open("rb") as stream:
                content = stream.read(_LARGEST_FILE + 1)
            if len(content) > _LARGEST_FILE:
                raise self._missing(f"{self._source} is too large for a secret", remedy)
            return content.decode("utf-8-sig")
        except OSError as error:
            raise self._missing(f"{self._source} cannot be read: {error.strerror or type(error).__name__}", remedy) from None
        except UnicodeDecodeError:
            raise self._missing(f"{self._source} is not UTF-8 text", remedy) from None

    def _missing(self, what: str, remedy: str) -> ConfigError:
        message = f"{self._name}: {what}"
        return ConfigError(message, remedy=remedy, problems=(f"{message} — {remedy}",))


def read_reference(value: object, literal: Kind) -> SecretRef:
    """Read a value in any of the four forms; text written out becomes a reference of the kind `literal`. Raises ValueError with the fix."""
    if isinstance(value, SecretRef):
        return value
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"is empty — write {_FORMS}")
        return SecretRef(kind=literal, value=value)
    return _read_table(value)


def _read_table(value: object) -> SecretRef:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"is no secret — write {_FORMS}")
    form, place = next(iter(value.items()))
    if form not in (Kind.ENV, Kind.FILE, Kind.CREDENTIAL) or not isinstance(place, str) or not place.strip():
        raise ValueError(f"is no secret — write {_FORMS}")
    if form == Kind.CREDENTIAL and ("/" in place or place.startswith(".")):
        raise ValueError("names a path as a credential — write the name that LoadCredential= has before its colon")
    return SecretRef(kind=Kind(form), value=place)


def _secret(value: object) -> SecretRef:
    return read_reference(value, Kind.LITERAL)


def _identifier(value: object) -> SecretRef:
    # TimeTap's API key is a number that people write without quotes.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return read_reference(str(value) if is_number else value, Kind.PLAIN)


def _place(form: str) -> dict[str, object]:
    return {"type": "object", "properties": {form: {"type": "string"}}, "required": [form], "additionalProperties": False}


SECRET_SCHEMA: Final = {"anyOf": [{"type": "string"}, *(_place(form) for form in ("env", "file", "credential"))]}


def as_written(ref: SecretRef) -> object:
    """Serialise the place, never the secret."""
    match ref.kind:
        case Kind.LITERAL:
            return "…"
        case Kind.PLAIN:
            return ref.value
        case _:
            return {ref.kind.value: ref.value}


Secret = Annotated[SecretRef, PlainValidator(_secret), PlainSerializer(as_written), WithJsonSchema(SECRET_SCHEMA)]
"""A secret in any of its four forms."""

Identifier = Annotated[SecretRef, PlainValidator(_identifier), PlainSerializer(as_written), WithJsonSchema(SECRET_SCHEMA)]
"""What goes with a secret but is none (a user name, a client id): the same forms; written out, the config stays harmless."""
