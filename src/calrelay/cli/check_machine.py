"""The part of `check` that asks nobody: zone data, the config's secrets and templates, and the state database."""

import dataclasses
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from calrelay.cli.check_around import examine_daemon, examine_rights, examine_space
from calrelay.cli.examination import Examination, Finding
from calrelay.config.access import others_may_open
from calrelay.config.database import sqlite_file
from calrelay.config.load import Config
from calrelay.config.secrets import Kind, SecretRef
from calrelay.config.vendor import AccountModel
from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.people import Participant, Role
from calrelay.domain.rendering import Texts
from calrelay.domain.zones import ZONE_DATA_VERSION, zone_data_is_old
from calrelay.errors import Busy, CalrelayError, ConfigError, MappingError, StateError
from calrelay.service.deserted import deserted, deserted_words
from calrelay.service.loaded import view_daemon
from calrelay.service.web.page_token import find_token
from calrelay.state.database import Access
from calrelay.state.locks import PipelineLock
from calrelay.state.opening import open_state

_SIGNATURE: Final = "webhook_secret"  # needed only where webhooks are received
_LONG_ENOUGH: Final = 16
_SAMPLE: Final = Event(
    source_id=SourceId("55120"),
    status="DEFINITE",
    lifecycle=Lifecycle.LIVE,
    start=datetime(2026, 12, 12, 23, 0, tzinfo=UTC),
    end=datetime(2026, 12, 13, 3, 0, tzinfo=UTC),
    zone="America/New_York",
    title="Board Dinner",
    location="Main Hall",
    content="Window tables if possible.",
    participants=(Participant(name="Ada Bell", email="ada@example.com", role=Role.CONTACT),),
    custom={"guest_count": "40"},
)


def examine_zone_data(found: Examination) -> None:
    """Warn of old zone rules (rule 6)."""
    found.is_zone_data_old = zone_data_is_old(datetime.now(UTC).date())
    if found.is_zone_data_old:
        found.warnings.append(
            f"zone data: {ZONE_DATA_VERSION} is old; where rules have changed since, times may be an hour wrong — update calrelay, or pytz"
        )


def findings_of(error: CalrelayError) -> Iterator[Finding]:
    """Yield an error, and a config's problems one by one: each carries its fix behind a dash."""
    problems = error.problems if isinstance(error, ConfigError) else ()
    for problem in problems:
        what, dash, remedy = problem.rpartition(" — ")
        yield Finding.of(error, message=what if dash else problem, remedy=remedy)
    if not problems:
        yield Finding.of(error)


# --- secrets ---


def examine_secrets(config: Config, found: Examination) -> set[str]:
    """Fetch every secret and return the accounts that lack one. What nothing needs, offline everything, is only worth a warning."""
    unready = set()
    for name, account in config.accounts.items():
        for key, ref in _secrets_of(account):
            found.warnings += _doubts_about(ref, config.folder)
            try:
                secret = config.resolve(ref)
                found.warnings += _doubts_about_signature(name, secret) if key == _SIGNATURE else ()
            except ConfigError as error:
                if found.is_offline or not _is_needed(account, key, config):
                    found.warnings.append(f"{error.message} — {error.remedy}")
                else:
                    unready.add(name)
                    found.problems += [dataclasses.replace(one, account=name) for one in findings_of(error)]
    _examine_page_token(config, found)
    return unready


def _examine_page_token(config: Config, found: Examination) -> None:
    """Look whether the page's token can be had, where the config names one; else the daemon makes it."""
    if config.web.token is None or config.web.listen is None:
        return
    found.warnings += _doubts_about(config.web.token, config.folder)
    try:
        find_token(config)
    except ConfigError as error:
        if found.is_offline:
            found.warnings.append(f"{error.message} — {error.remedy}")
        else:
            found.problems += findings_of(error)


def _doubts_about_signature(account: str, secret: str) -> Iterator[str]:
    """Doubt a secret that could be guessed: whoever knows it can have us ask the vendor as often as they like."""
    if len(secret) < _LONG_ENOUGH:
        yield (
            f"accounts.{account}.webhook_secret: is {len(secret)} characters long and could be guessed — take a longer one, as "
            "`openssl rand -hex 24` makes them"
        )


def _secrets_of(account: AccountModel) -> Iterator[tuple[str, SecretRef]]:
    for key in type(account).model_fields:
        value = getattr(account, key)
        if isinstance(value, SecretRef):
            yield key, value


def _is_needed(account: AccountModel, key: str, config: Config) -> bool:
    return type(account).model_fields[key].is_required() or (key == _SIGNATURE and config.web.hooks is not None)


def _doubts_about(ref: SecretRef, folder: Path) -> Iterator[str]:
    if ref.kind is not Kind.FILE:
        return
    path = folder / Path(ref.value).expanduser()
    try:
        status = path.stat()
    except OSError:
        return  # that it cannot be read is told with the secret itself
    if others_may_open(status):
        yield f"{ref.where}: others than its owner may open {path} — chmod 600 {path}"


# --- templates ---


def examine_templates(config: Config, found: Examination) -> None:
    """Render each template of each pipeline by itself, on an event that has everything, so that a fault has a name."""
    for pipeline in config.pipelines:
        event = pipeline.event
        for key in ("title", "location", "content"):
            _render(config.place(pipeline.name, f"event.{key}"), Texts(**{key: getattr(event, key)}), found)
        for key, template in event.custom_data.items():
            _render(config.place(pipeline.name, f"event.custom_data.{key}"), Texts(custom_data={key: template}), found)


def _render(path: str, texts: Texts, found: Examination) -> None:
    try:
        texts.render(_SAMPLE)
    except MappingError as error:
        problem = ConfigError(
            f"{path}: fails on an ordinary event: {_why(error.__context__)}",
            remedy="use the fields that docs/templates.md lists; one that may be missing needs a default",
        )
        found.problems.append(Finding.of(problem))


def _why(error: BaseException | None) -> str:
    """Say what a template asked for in vain; of our own sample, so that no guest is quoted."""
    text = str(error)
    missing = re.search(r"has no attribute '(\w+)'", text)
    return f"there is no field “{missing[1]}”" if missing else text


# --- state ---


def examine_state(config: Config, found: Examination) -> Access | None:
    """Open the state and return how it may be opened, None where it may not.

    Leaves none behind where there was none: made by another user, the daemon could not write it.
    """
    try:
        file = sqlite_file(config.state_url())
        is_new = file is not None and not file.exists()
        if file is not None and is_new:
            _examine_folder(file.parent)
        examine_rights(config, file, found)
        if file is not None:
            examine_space(file, found)
        access = Access.READ if is_new else Access.WRITE
        with open_state(config.state_url(), config.folder, access) as state:
            if not is_new:
                for pipeline in config.pipelines:
                    PipelineLock(state.database, pipeline.name, command="check")  # not entered: only whether there can be one
            examine_daemon(view_daemon(state, config), found)
            found.warnings += [" — ".join(deserted_words(*one)) for one in deserted(config, state.ledger, datetime.now(UTC)).items()]
            found.state = f"{file} (not there yet; the first pass makes it)" if is_new else state.database.where
    except (Busy, ConfigError, StateError) as error:
        found.problems += findings_of(error)
        return None
    return access


def _examine_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise StateError(f"the folder {folder} of the state database does not exist", remedy=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StateError(f"the folder {folder} of the state database cannot be written", remedy=f"sudo chown $USER {folder}")
