"""From a file to a checked config: finding it, reading it, and saying everything that is wrong with it at once."""

import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from calrelay.config.access import others_may_open
from calrelay.config.checks import doubts, impossibilities
from calrelay.config.database import absolute_database_url
from calrelay.config.model import Document, Known, Pipeline
from calrelay.config.notify import NotifySection
from calrelay.config.problems import problems_of
from calrelay.config.secrets import SecretRef
from calrelay.config.section import Section
from calrelay.config.sections import LogSection, StateSection, WebSection
from calrelay.config.vendor import AccountModel, VendorConfig, suggestion
from calrelay.errors import ConfigError

VARIABLE: Final = "CALRELAY_CONFIG"
PLACES: Final = (Path("config.toml"), Path("/etc/calrelay/config.toml"))
Named = TypeVar("Named")
Located = TypeVar("Located", bound=Section)
_POSITION = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config that was checked. `warnings` are what is allowed but may not be meant."""

    path: Path
    state: StateSection
    log: LogSection
    web: WebSection
    notify: NotifySection
    accounts: Mapping[str, AccountModel]
    pipelines: tuple[Pipeline, ...]
    warnings: tuple[str, ...] = ()
    digest: str = dataclasses.field(repr=False, compare=False, default="")  # of all it says, literal secrets too: never shown

    @property
    def folder(self) -> Path:
        """The file's folder, where relative paths start."""
        return self.path.parent

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by name. Raises ConfigError that names those there are."""
        return _named({one.name: one for one in self.pipelines}, name, "pipeline")

    def account(self, name: str) -> AccountModel:
        """Return an account by name. Raises ConfigError that names those there are."""
        return _named(self.accounts, name, "account")

    def resolve(self, secret: SecretRef) -> str:
        """Fetch a secret. Raises ConfigError when it is not there."""
        return secret.resolve(self.folder)

    def state_url(self) -> str:
        """Return the database's URL, its path absolute. Raises ConfigError when it stands elsewhere and is not there, or is wrong."""
        try:
            return absolute_database_url(self.resolve(self.state.url), self.folder)
        except ValueError as error:
            raise ConfigError(f"state.url: {error}", problems=(f"state.url: {error}",)) from None


def find_config(explicit: Path | None, env: Mapping[str, str]) -> Path:
    """Return the config's path: the one asked for, else $CALRELAY_CONFIG, else the first of the usual places.

    Raises ConfigError when there is none: a file that was asked for by name is never replaced by another.
    """
    named = explicit if explicit is not None else Path(env[VARIABLE]) if env.get(VARIABLE) else None
    if named is not None:
        if not _is_there(named.expanduser()):
            source = "--config" if explicit is not None else f"${VARIABLE}"
            raise ConfigError(
                f"there is no {named}, which {source} names", remedy=f"correct the path, or write one with `calrelay init {named}`"
            )
        return named.expanduser()
    for place in PLACES:
        if _is_there(place):
            return place
    looked = ", ".join([f"${VARIABLE} (not set)", *(str(place) if place.is_absolute() else f"./{place}" for place in PLACES)])
    raise ConfigError(
        f"there is no config: looked at {looked}", remedy="write one with `calrelay init`, or name yours with `calrelay --config FILE`"
    )


def load_config(path: Path, vendors: Mapping[str, VendorConfig]) -> Config:
    """Read and check a config; resolves no secret.

    Raises ConfigError with all problems at once, each with its path and its fix; also when others may read a file that holds secrets.
    """
    path = path.absolute()
    config = parse_config(_read(path), path=path, vendors=vendors)
    if any(ref.is_literal for ref in _secrets(config)) and others_may_open(path.stat()):
        raise ConfigError(
            f"{path} holds a secret, and others than its owner may open it",
            remedy=f"chmod 600 {path}",
            problems=(f"{path.name}: holds a secret, and others than its owner may open it — chmod 600 {path}",),
        )
    return config


def parse_config(text: str, *, path: Path, vendors: Mapping[str, VendorConfig]) -> Config:
    """Check the text of a config that stands, or is to stand, at `path`. Raises ConfigError with all problems at once."""
    raw = _toml(text, path)
    known = Known(vendors=vendors, accounts=_vendor_names(raw))
    problems = impossibilities(raw)
    try:
        document = Document.model_validate(raw, context=known)
    except ValidationError as error:
        found = [*problems_of(error, raw, vendors), *problems]
        raise _refused(path, found) from None
    if problems:
        raise _refused(path, problems)
    return Config(
        path=path,
        state=document.state,
        log=document.log,
        web=_with_paths(document.web, "web"),
        notify=_with_paths(document.notify, "notify"),
        accounts={name: _with_paths(account, f"accounts.{name}") for name, account in document.accounts.items()},
        pipelines=document.pipelines,
        warnings=tuple(doubts(document, vendors)),
        digest=_digest(raw),
    )


def _digest(raw: Mapping[str, Any]) -> str:
    """Return a hash of what a config says; comments, order and layout do not count."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()


def _is_there(path: Path) -> bool:
    """Whether there is such a file, one we may not open included: reading it says so better than "there is none"."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}", remedy="correct the path or its rights"
        ) from None


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _POSITION.search(said)
        where = "at its end" if found is None or found["line"] is None else f"in line {found['line']}, column {found['column']}"
        what = _POSITION.sub("", said)
    problem = f"{path.name} {where}: {what} — this is not TOML; mend the line, or compare with `calrelay config example`"
    raise ConfigError(f"{path} cannot be read {where}: {what}", remedy="mend the line", problems=(problem,))


def _vendor_names(raw: Mapping[str, Any]) -> dict[str, str]:
    accounts = raw.get("accounts")
    tables = accounts.items() if isinstance(accounts, dict) else ()
    return {name: str(table.get("vendor", "")) if isinstance(table, dict) else "" for name, table in tables}


def _refused(path: Path, problems: list[str]) -> ConfigError:
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(
        f"{path} has {count}:{lines}", remedy="mend the file; `calrelay check --offline` checks it again", problems=tuple(problems)
    )


def _with_paths(section: Located, path: str) -> Located:
    """Tell each secret of a table where it stands, so that its errors can say so."""
    located = {
        name: dataclasses.replace(value, where=f"{path}.{name}")
        for name in type(section).model_fields
        if isinstance(value := getattr(section, name), SecretRef)
    }
    return section.model_copy(update=located)


def _secrets(config: Config) -> Iterator[SecretRef]:
    sections: list[Section] = [config.state, config.web, config.notify, *config.accounts.values()]
    for section in sections:
        yield from (value for name in type(section).model_fields if isinstance(value := getattr(section, name), SecretRef))


def _named(table: Mapping[str, Named], name: str, what: str) -> Named:
    try:
        return table[name]
    except KeyError:
        remedy = suggestion(name, list(table)).removeprefix(" — ")
        raise ConfigError(f"there is no {what} “{name}” in the config", remedy=remedy) from None
