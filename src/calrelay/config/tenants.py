"""Tenants: the files that `include` names, each read and checked by itself, so that one that is broken stops nobody else.

A pipeline or account NAME of a tenant is known as TENANT/NAME everywhere outside its file.
"""

import dataclasses
import glob
import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from calrelay.config.checks import impossibilities
from calrelay.config.document import digest_of, located, read_tables, read_text, refuse_if_open, refused, vendor_names
from calrelay.config.model import Document, Known, Pipeline, TenantDocument
from calrelay.config.problems import names_in, problems_of, with_names
from calrelay.config.section import check_name
from calrelay.config.vendor import AccountModel, VendorConfig
from calrelay.errors import ConfigError

SCOPE: Final = "/"
_ROOT_ONLY: Final = frozenset(Document.model_fields) - frozenset(TenantDocument.model_fields)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant's tables under their names outside the file. With a `refusal` they are those that ran before, if any did."""

    name: str
    label: str  # the file, as messages name it
    accounts: Mapping[str, AccountModel] = dataclasses.field(default_factory=dict)
    pipelines: tuple[Pipeline, ...] = ()
    refusal: ConfigError | None = dataclasses.field(default=None, compare=False)
    digest: str = dataclasses.field(repr=False, compare=False, default="")


def tenant_of(name: str) -> str:
    """Return the tenant to which a pipeline or an account belongs by its name; "" for those of the config itself."""
    tenant, scope, _ = name.partition(SCOPE)
    return tenant if scope else ""


def find_tenants(
    include: Sequence[str], config: Path, shared: Mapping[str, AccountModel], vendors: Mapping[str, VendorConfig]
) -> tuple[dict[str, Tenant], list[str]]:
    """Read every file that the patterns match, by tenant in alphabetical order; and return what may not be meant.

    `shared` are the accounts of the config itself, which every tenant may use. Raises ConfigError only where a folder is not there or
    cannot be read: nobody could tell then which tenants there are.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    doubts = []
    for index, pattern in enumerate(include):
        found = [path for path in _matching(pattern, config.parent) if not path.is_dir() and path != config]
        if not found:
            doubts.append(f"include[{index}]: “{pattern}” matches no file in {config.parent} — correct it, or add a tenant's file")
        for path in found:
            if path not in files[path.stem]:
                files[path.stem].append(path)
    known = {name: account.vendor for name, account in shared.items()}
    return {name: _tenant(name, files[name], config.parent, known, vendors) for name in sorted(files)}, doubts


def keep_tables(tenant: Tenant, before: Tenant | None, shared: Mapping[str, AccountModel]) -> Tenant:
    """Return a refused tenant with the tables it had before; without them where they name an account that the config has no more."""
    if tenant.refusal is None or before is None:
        return tenant
    used = {name for one in before.pipelines for name in (one.source, one.target)}
    if not used <= before.accounts.keys() | shared.keys():
        return tenant
    return dataclasses.replace(tenant, accounts=before.accounts, pipelines=before.pipelines)


def _matching(pattern: str, folder: Path) -> list[Path]:
    """Return what a pattern matches; files that begin with a point, which editors leave behind, only where it names the point."""
    fixed = folder
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    try:
        os.scandir(fixed).close()
    except FileNotFoundError:  # a folder that went away must not look like tenants that ended
        raise ConfigError(
            f"the folder {fixed}, which `include` names, is not there", remedy="bring it back, make an empty one, or correct the pattern"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the folder {fixed}, which `include` names, cannot be read: {error.strerror}", remedy="correct its rights, or the pattern"
        ) from None
    found = glob.glob(pattern, root_dir=folder)  # noqa: PTH207 - Path.glob takes no absolute pattern, and matches hidden files
    return sorted(Path(os.path.normpath(folder / name)) for name in found)


def _tenant(name: str, paths: Sequence[Path], folder: Path, shared: Mapping[str, str], vendors: Mapping[str, VendorConfig]) -> Tenant:
    """Read one tenant; what is wrong with it becomes its refusal."""
    labels = [_label(path, folder) for path in paths]
    text = ""
    try:
        _check_stem(name, labels)
        text = read_text(paths[0])
        return _read(name, paths[0], labels[0], text, shared, vendors)
    except ConfigError as error:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Tenant(name=name, label=labels[0], refusal=_refusal(error, paths[0], labels[0]), digest=digest)


def _check_stem(name: str, labels: Sequence[str]) -> None:
    if len(labels) > 1:
        raise ConfigError(f"{' and '.join(labels)} would both be the tenant {name}", remedy="rename one of the files")
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigError(f"the file's name is the tenant's: {error}", remedy="rename the file") from None


def _read(name: str, path: Path, label: str, text: str, shared: Mapping[str, str], vendors: Mapping[str, VendorConfig]) -> Tenant:
    raw = read_tables(text, path)
    digest = digest_of(raw)
    if not raw:
        raise ConfigError(f"{label}: it is empty", remedy="put its tables back; to end the tenant, remove the file")
    misplaced = [f"{key}: stands in the config itself, for all tenants — take it out of this file" for key in raw if key in _ROOT_ONLY]
    own = {key: value for key, value in raw.items() if key not in _ROOT_ONLY}
    document, problems = _validated(own, shared, vendors)
    if document is None or misplaced or problems:
        raise refused(path, [*misplaced, *problems])
    refuse_if_open(path, list(document.accounts.values()))
    accounts = {
        _scoped(name, key): located(account, f"{label}: accounts.{key}", folder=path.parent) for key, account in document.accounts.items()
    }
    return Tenant(
        name=name,
        label=label,
        accounts=accounts,
        pipelines=tuple(_in_scope(name, one, accounts) for one in document.pipelines),
        digest=digest,
    )


def _validated(
    raw: Mapping[str, Any], shared: Mapping[str, str], vendors: Mapping[str, VendorConfig]
) -> tuple[TenantDocument | None, list[str]]:
    known = Known(vendors=vendors, accounts={**shared, **vendor_names(raw)})
    problems = impossibilities(raw)
    try:
        return TenantDocument.model_validate(raw, context=known), with_names(problems, names_in(raw))
    except ValidationError as error:
        return None, with_names([*problems_of(error, raw, vendors), *problems], names_in(raw))


def _in_scope(tenant: str, pipeline: Pipeline, accounts: Mapping[str, AccountModel]) -> Pipeline:
    """Return a pipeline under its outside name; an account of its own file comes before one of the config."""
    ends = {key: own for key in ("source", "target") if (own := _scoped(tenant, getattr(pipeline, key))) in accounts}
    return pipeline.model_copy(update={"name": _scoped(tenant, pipeline.name), **ends})


def _scoped(tenant: str, name: str) -> str:
    return f"{tenant}{SCOPE}{name}"


def _label(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _refusal(error: ConfigError, path: Path, label: str) -> ConfigError:
    """Say of each problem in which of many files it is."""
    told = error.problems or (f"{error.message} — {error.remedy}" if error.remedy else error.message,)
    bare = [one.removeprefix(str(path)).removeprefix(path.name) for one in told]
    problems = [f"{label}{what}" if what != one else f"{label}: {one}" for what, one in zip(bare, told, strict=True)]
    return refused(path, problems)
