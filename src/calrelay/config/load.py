"""From a file to a checked config: finding it, reading it, and saying everything that is wrong with it at once."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from calrelay.config.checks import File, doubts, impossibilities
from calrelay.config.database import absolute_database_url
from calrelay.config.document import digest_of, located, read_tables, read_text, refuse_if_open, refused, vendor_names
from calrelay.config.model import Document, Known, Pipeline
from calrelay.config.notify import NotifySection
from calrelay.config.problems import names_in, problems_of, with_names
from calrelay.config.secrets import SecretRef
from calrelay.config.sections import LogSection, StateSection, WebSection
from calrelay.config.tenants import SCOPE, Tenant, find_tenants, keep_tables, tenant_of
from calrelay.config.vendor import AccountModel, VendorConfig, suggestion
from calrelay.domain.words import counted
from calrelay.errors import ConfigError

VARIABLE: Final = "CALRELAY_CONFIG"
PLACES: Final = (Path("config.toml"), Path("/etc/calrelay/config.toml"))
Named = TypeVar("Named")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config that was checked. `warnings` are what is allowed but may not be meant.

    `accounts` and `pipelines` hold those of every sound tenant too, as TENANT/NAME, after those of the config itself.
    """

    path: Path
    state: StateSection
    log: LogSection
    web: WebSection
    notify: NotifySection
    accounts: Mapping[str, AccountModel]
    pipelines: tuple[Pipeline, ...]
    include: tuple[str, ...] = ()
    tenants: Mapping[str, Tenant] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    digest: str = dataclasses.field(repr=False, compare=False, default="")  # of all it says, literal secrets too: never shown
    _by_name: Mapping[str, Pipeline] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {one.name: one for one in self.pipelines})

    @property
    def folder(self) -> Path:
        """The file's folder, where relative paths start."""
        return self.path.parent

    @property
    def enabled(self) -> list[Pipeline]:
        """The pipelines that passes are run of."""
        return [one for one in self.pipelines if one.enabled]

    @property
    def refusals(self) -> dict[str, ConfigError]:
        """Why tenants are refused, by tenant."""
        return {name: one.refusal for name, one in self.tenants.items() if one.refusal is not None}

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by name. Raises ConfigError that names those there are, or what is wrong with its tenant."""
        return _named(self._by_name, name, "pipeline", self.tenants)

    def account(self, name: str) -> AccountModel:
        """Return an account by name. Raises ConfigError in the same way."""
        return _named(self.accounts, name, "account", self.tenants)

    def select(self, names: Sequence[str]) -> list[Pipeline]:
        """Return the pipelines that are named, in order, each once; `acme/`, or `acme` where no pipeline is called so, is all of a tenant.

        Raises ConfigError for what there is not, and for a tenant that is refused.
        """
        return list({one.name: one for name in names for one in self._named_by(name)}.values())

    def place(self, pipeline: str, key: str) -> str:
        """Return where a key of a pipeline stands, as messages name it: `tenants/acme.toml: pipelines[0].calendar (acme/venue)`."""
        tenant = self.tenants.get(tenant_of(pipeline))
        tables = tenant.pipelines if tenant else self.pipelines
        index = next(index for index, one in enumerate(tables) if one.name == pipeline)
        path = f"pipelines[{index}].{key} ({pipeline})"
        return f"{tenant.label}: {path}" if tenant else path

    def _named_by(self, name: str) -> list[Pipeline]:
        tenant = self.tenants.get(name.removesuffix(SCOPE))
        if tenant is None or name in self._by_name:
            return [self.pipeline(name)]
        if tenant.refusal is not None and not tenant.pipelines:
            raise tenant.refusal
        found = [one for one in tenant.pipelines if one.enabled]
        if not found:
            raise ConfigError(f"{tenant.label} has no pipeline that is enabled", remedy="add a [[pipelines]] table to it")
        return found

    def resolve(self, secret: SecretRef) -> str:
        """Fetch a secret. Raises ConfigError when it is not there."""
        return secret.resolve(self.folder)

    def state_url(self) -> str:
        """Return the database's URL, its path absolute. Raises ConfigError when it stands elsewhere and is not there, or is wrong."""
        try:
            return absolute_database_url(self.resolve(dataclasses.replace(self.state.url, where="state.url")), self.folder)
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
    """Read and check a config and its tenants' files; resolves no secret.

    Raises ConfigError with all problems at once, each with its path and its fix; also when others may read a file that holds secrets.
    What is wrong with a tenant's file is no error here but its refusal in what is returned.
    """
    path = path.absolute()
    config = parse_config(read_text(path), path=path, vendors=vendors)
    refuse_if_open(path, [config.state, config.web, config.notify, *config.accounts.values()])
    if not config.include:
        return config
    tenants, unmatched = find_tenants(config.include, path, config.accounts, vendors)
    own = File(pipelines=config.pipelines, accounts=config.accounts)
    files = [File(pipelines=one.pipelines, accounts=one.accounts, prefix=f"{one.label}: ") for one in tenants.values()]
    found = doubts([own, *files], config.web, vendors)
    return _joined(dataclasses.replace(config, warnings=(*unmatched, *found), digest=_digest(config.digest, tenants)), tenants)


def parse_config(text: str, *, path: Path, vendors: Mapping[str, VendorConfig]) -> Config:
    """Check the text of a config that stands, or is to stand, at `path`, without its tenants. Raises ConfigError with all problems."""
    raw = read_tables(text, path)
    known = Known(vendors=vendors, accounts=vendor_names(raw))
    problems = impossibilities(raw)
    try:
        document = Document.model_validate(raw, context=known)
    except ValidationError as error:
        found = [*problems_of(error, raw, vendors), *problems]
        raise refused(path, with_names(found, names_in(raw))) from None
    if problems:
        raise refused(path, with_names(problems, names_in(raw)))
    own = File(pipelines=document.pipelines, accounts=document.accounts)
    return Config(
        path=path,
        state=document.state,
        log=document.log,
        web=located(document.web, "web"),
        notify=located(document.notify, "notify"),
        accounts={name: located(account, f"accounts.{name}") for name, account in document.accounts.items()},
        pipelines=document.pipelines,
        include=document.include,
        warnings=tuple(doubts([own], document.web, vendors)),
        digest=digest_of(raw),
    )


def keep_running(fresh: Config, before: Config) -> Config:
    """Return a new config in which each tenant that is refused keeps the tables that `before`, the config in use, has of it.

    Raises ConfigError where all tenants are gone at once: that is what a folder looks like that was not mounted.
    """
    if before.tenants and fresh.include and not fresh.tenants:
        raise ConfigError(
            f"`include` matches no file any more, where it gave {counted(len(before.tenants), 'tenant')}",
            remedy="bring their files back; to end them all, remove the pattern too, or restart",
        )
    shared = {name: account for name, account in fresh.accounts.items() if not tenant_of(name)}
    kept = {name: keep_tables(one, before.tenants.get(name), shared) for name, one in fresh.tenants.items()}
    return _joined(fresh, kept)


def _joined(config: Config, tenants: Mapping[str, Tenant]) -> Config:
    """Return the config with the tables of these tenants, and of no other."""
    accounts = {name: account for name, account in config.accounts.items() if not tenant_of(name)}
    for tenant in tenants.values():
        accounts |= tenant.accounts
    own = [one for one in config.pipelines if not tenant_of(one.name)]
    pipelines = (*own, *(one for tenant in tenants.values() for one in tenant.pipelines))
    return dataclasses.replace(config, accounts=accounts, pipelines=pipelines, tenants=tenants)


def _digest(own: str, tenants: Mapping[str, Tenant]) -> str:
    said = "".join(f"\n{name} {tenant.digest}" for name, tenant in tenants.items())
    return hashlib.sha256(f"{own}{said}".encode()).hexdigest()


def _is_there(path: Path) -> bool:
    """Whether there is such a file, one we may not open included: reading it says so better than "there is none"."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _named(table: Mapping[str, Named], name: str, what: str, tenants: Mapping[str, Tenant]) -> Named:
    try:
        return table[name]
    except KeyError:
        tenant = tenants.get(tenant_of(name))
        if tenant is not None and tenant.refusal is not None:
            raise tenant.refusal from None
        if own := [one for one in table if tenant_of(one) == name.removesuffix(SCOPE)]:
            raise ConfigError(f"{name} is a tenant, and one {what} is wanted here", remedy=f"name it: {', '.join(own)}") from None
        remedy = suggestion(name, list(table)).removeprefix(" — ")
        raise ConfigError(f"there is no {what} “{name}” in the config", remedy=remedy) from None
