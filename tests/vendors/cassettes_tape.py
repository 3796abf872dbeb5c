"""Cassettes as files: how they are recorded, what is checked before one is written, and how they are played without any network."""

import dataclasses
import datetime as dt
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import vcr
import yaml  # type: ignore[import-untyped]  # comes with vcrpy; its stubs would be one more package for six lines

from calrelay.simulators.faults import SimulatedClock
from tests.vendors.cassettes_scrub import Scrubber
from tests.vendors.cassettes_words import SCRUBBED

FOLDER: Final = Path(__file__).parents[2] / "cassettes"
NOW: Final = dt.datetime(2026, 11, 21, 15, 0, tzinfo=dt.UTC)  # whenever the simulators are recorded

Client = TypeVar("Client")


class NothingToAskFor(Exception):
    """The account has nothing of the kind that a call needs."""


class Subject(dict[str, str]):
    """What a call is about: ids and days by name; kept in the cassette, so that playing asks for the same."""

    def __missing__(self, key: str) -> str:
        raise NothingToAskFor(key)


Call = Callable[[Client, Subject], Awaitable[Any]]


class Origin(StrEnum):
    """Where a cassette's answers came from."""

    SIMULATORS = "simulators"
    ACCOUNT = "account"


class StoppedClock(SimulatedClock):
    """A vendor's clock that stands still, so that the same calls give the same answers to the letter."""

    def now(self) -> dt.datetime:
        return NOW


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[Client]):
    """An account that is ready to be recorded. Each call gets a client of its own, which remembers nothing."""

    open: Callable[[], AbstractAsyncContextManager[Client]]
    subject: Subject
    origin: Origin
    may_write: bool
    secrets: Callable[[], Collection[str]]
    today: dt.date


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deck(Generic[Client]):
    """All cassettes of a vendor: one for each public method of its client, in the order in which they are recorded.

    `variables` are those of the environment without which a real account cannot be recorded.
    """

    vendor: str
    client: type[Client]
    calls: Mapping[str, Call[Client]]
    writes: frozenset[str]
    variables: tuple[str, ...]
    simulated: Callable[[], AbstractAsyncContextManager[Stage[Client]]]
    real: Callable[[Mapping[str, str]], AbstractAsyncContextManager[Stage[Client]]]
    played: Callable[[], AbstractAsyncContextManager[Client]]

    def path(self, method: str, folder: Path = FOLDER) -> Path:
        return folder / self.vendor / f"{method}.yaml"


class Leak(Exception):
    """Something was about to be published that must not be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """A cassette's own account of itself."""

    origin: Origin
    recorded: dt.date
    subject: Subject
    interactions: list[dict[str, Any]]
    text: str

    @classmethod
    def read(cls, path: Path) -> "Tape":
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        return cls(
            origin=Origin(content["recorded"]["from"]),
            recorded=dt.date.fromisoformat(content["recorded"]["on"]),
            subject=Subject(content["recorded"]["subject"]),
            interactions=content["interactions"],
            text=text,
        )


# --- recording ---


@contextmanager
def recording(path: Path, stage: Stage[Any], scrubber: Scrubber) -> Iterator[None]:
    """Record what is asked in this block. The file is written at its end, or not at all.

    Raises:
        Leak: what would have been written holds a secret or a person; it is not written.
    """
    writer = _Writer(scrubber, stage)
    recorder = _recorder("all")
    recorder.register_serializer("cassette", writer)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with recorder.use_cassette(str(new), serializer="cassette"):
        yield
    if writer.leak is not None:
        new.unlink()
        raise writer.leak
    new.replace(path)


class _Writer:
    """vcr's serializer for recording: the only way to the disk leads through the scrubber.

    What must not be written becomes an empty file and `leak`. It is not raised here: vcr would leave httpx patched for whoever comes next.
    """

    def __init__(self, scrubber: Scrubber, stage: Stage[Any]) -> None:
        self._scrubber = scrubber
        self._stage = stage
        self._subject = dict(stage.subject)  # as it is before the call
        self.leak: Leak | None = None

    def serialize(self, cassette: Mapping[str, Any]) -> str:
        exchanges = [self._scrubber.exchange(one["request"], one["response"]) for one in cassette["interactions"]]
        about = {
            "from": str(self._stage.origin),
            "on": self._stage.today.isoformat(),
            "subject": self._scrubber.subject(self._subject),
        }
        text: str = yaml.dump(
            {"version": 1, "recorded": about, "interactions": exchanges}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140
        )
        if found := leaks(text, self._stage.secrets()):
            self.leak = Leak(f"the cassette is not written, it holds {found[0]}")
            return ""
        return text

    def deserialize(self, text: str) -> Any:
        raise AssertionError("a cassette that is recorded is never read")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # untyped, as said above
    """Writes long texts as blocks, so that a person can read a cassette before it is committed."""

    def represent_str(self, data: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_str)


# --- playing ---


@contextmanager
def playing(deck: Deck[Any], method: str, folder: Path = FOLDER) -> Iterator[Subject]:
    """Answer every request of this block from a cassette, and nothing from the network; all of it must be asked for."""
    path = deck.path(method, folder)
    tape = Tape.read(path)
    with _recorder("none").use_cassette(str(path)) as cassette:
        yield tape.subject
        assert cassette.all_played, f"{method} did not ask for everything that its cassette holds"


_IN_QUERIES: Final = ("apiKey", "signature", "timestamp", "sessionToken", "public_key")
_IN_FORMS: Final = ("client_id", "client_secret", "refresh_token", "code")


def _recorder(mode: str) -> Any:
    """Return a recorder that sees no credentials at all, neither when it records nor when it compares."""
    return vcr.VCR(
        record_mode=mode,
        match_on=("method", "scheme", "host", "path", "query", "body"),
        filter_headers=["authorization", "cookie"],
        filter_query_parameters=[(name, SCRUBBED) for name in _IN_QUERIES],
        filter_post_data_parameters=[(name, SCRUBBED) for name in _IN_FORMS],
        decode_compressed_response=True,
        record_on_exception=False,
    )


# --- looking for leaks ---

_SIGNS: Final = {
    "an e-mail address": re.compile(r"[\w.+-]+@(?!example\.(?:com|org)\b)[\w-]+\.[\w.]+"),
    "a phone number": re.compile(
        r"(?<![\d:T.-])(?:\+?1[-. ]?)?\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}(?!\d)|\+\d{7,15}|(?<![\d:])\d{3}[-. ]\d{4}(?!\d)"
    ),
    "a bearer token": re.compile(r"(?i:bearer|basic)\s+[\w.+/=:-]{8,}"),
    "a session token": re.compile(r"st[:.]api[:.]"),
    "a key or a hash": re.compile(r"\b[0-9a-fA-F]{24,}\b"),
    "a token": re.compile(r"\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w{30,}\b"),
    "a secret parameter": re.compile(
        r"(?i:api_?key|signature|session_?token|public_key|client_secret|refresh_token|access_token)[\"']?\s*[=:]\s*[\"']?(?!scrubbed)[^\s\"',&]"
    ),
}
_OURS: Final = re.compile(r"\+?1?[-. ]?\(?212\)?[-. ]?555[-. ]?01\d\d")


def leaks(text: str, secrets: Collection[str] = ()) -> list[str]:
    """Return in words what a cassette must not hold; nothing is quoted."""
    found = [f"the secret no. {n}" for n, secret in enumerate(secrets, 1) if secret and secret in text]
    for what, sign in _SIGNS.items():
        matches = (match for match in sign.finditer(text) if not _OURS.fullmatch(match[0]))
        found += [f"{what} in line {text.count(chr(10), 0, match.start()) + 1}" for match in matches]
    return found
