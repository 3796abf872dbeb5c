"""The page's token: from the config, else from a file that is made beside the state. What it opens is the access rules' business."""

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

from calrelay.config.database import sqlite_file
from calrelay.config.load import Config
from calrelay.errors import CalrelayError, ConfigError, StateError
from calrelay.log import register_secret
from calrelay.state.ownership import give_to_owner

SHORTEST: Final = 16  # characters of a token somebody chose; the made ones have 43
_SUFFIX: Final = ".web-token"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def token_file(config: Config) -> Path:
    """Return where a token that the config does not name is kept: beside the database, or beside the config where that is a server."""
    beside = sqlite_file(config.state_url()) or config.path
    return beside.with_name(beside.name + _SUFFIX)


def token_place(config: Config) -> str:
    """Say where the token is, for people."""
    return "[web] token of the config" if config.web.token is not None else str(token_file(config))


def find_token(config: Config) -> str | None:
    """Return the token, or None when it is still to be made; no log line shows it from here on. Raises ConfigError."""
    found = config.resolve(config.web.token) if config.web.token is not None else _read(token_file(config))
    if found is None:
        return None
    if len(found) < SHORTEST:
        raise ConfigError(
            f"the page's token ({token_place(config)}) has fewer than {SHORTEST} characters",
            remedy="write a longer one, such as `openssl rand -base64 32` prints, or take it away: calrelay then makes one",
        )
    register_secret(found)
    return found


def make_token(config: Config) -> str:
    """Return the token, made at the first call. Raises ConfigError when nobody can keep it there, StateError when the disk is full."""
    if (known := find_token(config)) is not None:
        return known
    made = secrets.token_urlsafe(32)
    _write(token_file(config), made)
    register_secret(made)
    return made


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_mode & 0o077 and path.stat().st_uid == os.geteuid():
            path.chmod(0o600)
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None


def _write(path: Path, token: str) -> None:
    """Put it there whole or not at all, for its owner alone."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise _unusable(path, error) from None
    give_to_owner(path)


def _unusable(path: Path, error: Exception) -> CalrelayError:
    why = getattr(error, "strerror", None) or "it is no text"
    words = f"the page's token cannot be kept in {path} ({why})"
    if getattr(error, "errno", None) in _NO_ROOM:
        return StateError(words, remedy="free some space there, and start again: the state database needs it, too")
    return ConfigError(
        words,
        remedy='let calrelay\'s user write there, or give one in the config: `token = { credential = "web_token" }` under [web]',
    )
