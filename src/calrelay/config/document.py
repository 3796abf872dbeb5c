"""One file of the config: its text, its tables, its secrets, and how what is wrong with it is told. What the tables mean is the models'."""

import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from calrelay.config.access import others_may_open
from calrelay.config.secrets import Kind, SecretRef
from calrelay.config.section import Section
from calrelay.errors import ConfigError

Located = TypeVar("Located", bound=Section)
_POSITION = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")


def read_text(path: Path) -> str:
    """Return a file's text. Raises ConfigError."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}", remedy="correct the path or its rights"
        ) from None


def read_tables(text: str, path: Path) -> dict[str, Any]:
    """Return what a text says. Raises ConfigError with the line that is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _POSITION.search(said)
        where = "at its end" if found is None or found["line"] is None else f"in line {found['line']}, column {found['column']}"
        what = _POSITION.sub("", said)
    problem = f"{path.name} {where}: {what} — this is not TOML; mend the line, or compare with `calrelay config example`"
    raise ConfigError(f"{path} cannot be read {where}: {what}", remedy="mend the line", problems=(problem,))


def digest_of(raw: Mapping[str, Any]) -> str:
    """Return a hash of what a file says; comments, order and layout do not count."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()


def vendor_names(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the vendor of each account as it is written, right or wrong."""
    accounts = raw.get("accounts")
    tables = accounts.items() if isinstance(accounts, dict) else ()
    return {name: str(table.get("vendor", "")) if isinstance(table, dict) else "" for name, table in tables}


def refused(path: Path, problems: Sequence[str]) -> ConfigError:
    """Return the error that tells all problems of a file."""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(
        f"{path} has {count}:{lines}", remedy="mend the file; `calrelay check --offline` checks it again", problems=tuple(problems)
    )


def refuse_if_open(path: Path, sections: Sequence[Section]) -> None:
    """Raise ConfigError where others may open a file that holds a secret as text."""
    if any(ref.is_literal for ref in secrets_of(sections)) and others_may_open(path.stat()):
        raise ConfigError(
            f"{path}: holds a secret, and others than its owner may open it",
            remedy=f"chmod 600 {path}",
        )


def secrets_of(sections: Sequence[Section]) -> Iterator[SecretRef]:
    """Yield the secrets of tables, wherever they are found."""
    for section in sections:
        yield from (value for name in type(section).model_fields if isinstance(value := getattr(section, name), SecretRef))


def located(section: Located, where: str, *, folder: Path | None = None) -> Located:
    """Tell each secret of a table where it stands, so that its errors can say so.

    With a folder its relative files start there, instead of at the folder of the whole config.
    """

    def at_home(ref: SecretRef) -> SecretRef:
        is_file = folder is not None and ref.kind is Kind.FILE
        return dataclasses.replace(ref, value=str(folder / Path(ref.value).expanduser())) if folder and is_file else ref

    told = {
        name: dataclasses.replace(at_home(value), where=f"{where}.{name}")
        for name in type(section).model_fields
        if isinstance(value := getattr(section, name), SecretRef)
    }
    return section.model_copy(update=told)
