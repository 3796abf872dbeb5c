"""Runs `init`: from questions about vendors, credentials and messages to a draft of a config, and to a file that only its owner reads."""

import contextlib
import dataclasses
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from calrelay.cli.asking import Answers, Defaults, Nobody, Person, Question
from calrelay.cli.output import Output, Table
from calrelay.cli.shipped import CREDENTIALS, SERVICE_CONFIG, SERVICE_STATE
from calrelay.cli.simulating import simulated_draft
from calrelay.config.example import Draft, commented
from calrelay.config.load import PLACES, Config, parse_config
from calrelay.config.schema import Node, schema_of
from calrelay.config.vendor import Role, VendorConfig, suggestion
from calrelay.domain.link import MessageMode
from calrelay.errors import ConfigError
from calrelay.simulators.server import DEFAULT_PORTS, PAGE
from calrelay.vendors.registry import VENDORS

_FORMS: Final = ("env", "file", "credential")
_HERE: Final = "here"
_YES: Final = ("y", "yes", "n", "no")
_NOT_TEXT: Final = ("integer", "number", "boolean", "array", "object")
_MODES: Final = (
    "Whether guests are messaged about new bookings is decided when an event is created:",
    "  send        Apptoto messages as its own settings say, reminders and bookings alike",
    "  auto        as send, and #auto asks Apptoto to message where it would otherwise not",
    "  no-booking  #nobooking: reminders only, no message about the booking itself; that Apptoto obeys it is unproven",
    "  skip        #skip: no messages at all",
    "The first load is never sent unasked: `calrelay plan` shows it, `calrelay backfill --messages` does it.",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the options answer already, as typed."""

    vendors: Sequence[str] = ()
    settings: Sequence[str] = ()
    calendars: Sequence[str] = ()
    messages: str | None = None
    region: str | None = None


def init(output: Output, path: Path | None, given: Given, *, takes_defaults: bool, first_port: int | None) -> int:
    """Write a config; with `first_port` one for simulators that begin at this port. Raises ConfigError when there is one already."""
    place = (path or PLACES[0]).expanduser()
    _refuse_what_is_there(place)
    if first_port is not None and given != Given():
        raise ConfigError(
            "--simulate writes a config of its own, and takes no other answers",
            remedy="leave the other options out and change the file afterwards, or leave out --simulate",
        )
    try:
        draft = simulated_draft(first_port) if first_port is not None else _draft(given, _who_answers(output, takes_defaults))
    except typer.Abort:
        output.message("", "Nothing was written.")
        raise
    if place.absolute().parent == SERVICE_CONFIG.parent:
        draft = dataclasses.replace(draft, sections={"state": {"url": SERVICE_STATE}})
    text = commented(draft, VENDORS)
    config = parse_config(text, path=place.absolute(), vendors=VENDORS)
    write_new(place, text)
    output.say(f"Wrote {place}, which only you can read (mode 0600).", "", "Next", _next_steps(config, draft, place, first_port))
    return 0


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet: whole or not at all, and never readable by others. Raises ConfigError."""
    try:
        with _private_copy(path, text) as copy:
            os.link(copy, path)  # unlike a rename it never replaces a file that somebody else made meanwhile
    except FileExistsError:
        _refuse_what_is_there(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"{path} cannot be written: {why}", remedy="name a file in a folder that is there and is yours") from None


@contextlib.contextmanager
def _private_copy(path: Path, text: str) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield name
    finally:
        Path(name).unlink()


def _refuse_what_is_there(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", remedy=f"name a file: calrelay init {path / PLACES[0]}")
    if path.exists() or path.is_symlink():
        raise ConfigError(
            f"{path} is there already, and is not overwritten",
            remedy="name another file, or move this one away; `calrelay check` checks it",
        )


def _who_answers(output: Output, takes_defaults: bool) -> Answers:
    if takes_defaults:
        return Defaults()
    return Person(output) if sys.stdin.isatty() else Nobody()


def _draft(given: Given, answers: Answers) -> Draft:
    sources = _sources(given, answers)
    target = next(vendor for vendor in VENDORS.values() if vendor.role is Role.TARGET)
    vendors = [*sources, target]
    settings = _settings(given, {vendor.example_account: vendor for vendor in vendors})
    accounts = {vendor.example_account: _account(vendor, settings.get(vendor.example_account, {}), answers) for vendor in vendors}
    calendars = {source.example_account: _calendar(source.example_account, target, given, answers) for source in sources}
    common = {"messages": _messages(given, answers), "region": _region(given, answers)}
    answers.finish()
    pipelines = [
        {"name": name, "source": name, "target": target.example_account, "calendar": calendar, **common}
        for name, calendar in calendars.items()
    ]
    return Draft(accounts=accounts, pipelines=pipelines)


def _sources(given: Given, answers: Answers) -> list[VendorConfig]:
    offered = [vendor for vendor in VENDORS.values() if vendor.role is Role.SOURCE]
    for name in given.vendors:
        if name not in VENDORS:
            raise ConfigError(f"--vendor: “{name}” is no vendor this release knows{suggestion(name, list(VENDORS))}")
    if given.vendors:
        chosen = [vendor for vendor in offered if vendor.name in given.vendors]
    else:
        chosen = [vendor for vendor in offered if _is_used(vendor, answers)]
    if not chosen:
        raise ConfigError("there is no source to read from", remedy=f"use at least one of {', '.join(vendor.label for vendor in offered)}")
    return chosen


def _is_used(vendor: VendorConfig, answers: Answers) -> bool:
    question = Question(option="--vendor NAME", text=f"Do you use {vendor.label}? (yes, no)", default="yes")
    answer = answers.ask(question, lambda text: "" if text.casefold() in _YES else "is neither yes nor no")
    return answer.casefold().startswith("y")


# --- accounts ---


def _settings(given: Given, vendors: Mapping[str, VendorConfig]) -> dict[str, dict[str, str]]:
    """Sort `--set venue.client_id=…` by account and key. Raises ConfigError for what is no account or key."""
    found: dict[str, dict[str, str]] = {}
    for setting in given.settings:
        path, equals, text = setting.partition("=")
        account, dot, key = path.strip().rpartition(".")
        if not (equals and dot):
            raise ConfigError(
                f"--set: “{path}” names no key", remedy="write ACCOUNT.KEY=VALUE, such as venue.client_id=your-application-uid"
            )
        if account not in vendors:
            raise ConfigError(f"--set: “{account}” is no account here{suggestion(account, list(vendors))}")
        keys = list(vendors[account].account.model_fields)
        if key not in keys:
            raise ConfigError(f"--set: “{key}” is no key of a {vendors[account].label} account{suggestion(key, keys)}")
        found.setdefault(account, {})[key] = text.strip()
    return found


def _account(vendor: VendorConfig, given: Mapping[str, str], answers: Answers) -> dict[str, Any]:
    schema = schema_of(vendor.account)
    table: dict[str, Any] = {"vendor": vendor.name}
    for key in schema["required"]:
        if key != "vendor" and key not in given:
            table[key] = _asked(vendor, key, schema["properties"][key], answers)
    return table | {key: _sound(vendor, key, text, schema["properties"][key]) for key, text in given.items()}


def _asked(vendor: VendorConfig, key: str, node: Node, answers: Answers) -> Any:
    """Ask for one key. Its example tells what it is: a secret's names a place, anything else's is the thing itself."""
    name, example = f"{vendor.example_account}.{key}", node["examples"][0]
    variable = f"{vendor.name}_{key}".upper()
    what = f"{vendor.label} {key} ({node['description'].partition(';')[0].rstrip('.')})"
    is_secret = isinstance(example, dict)
    question = Question(
        option=f"--set {name}=env:{variable}" if is_secret else f"--set {name}={example}",
        text=f"{what}\n  Where is it? env:VARIABLE, file:PATH, credential:NAME, or {_HERE} to type it now" if is_secret else what,
        default=f"env:{variable}",
        example="" if is_secret else str(example),
    )
    answer = answers.ask(question, lambda text: "" if is_secret and text == _HERE else _objection(vendor, key, text, node))
    if is_secret and answer == _HERE:
        return answers.ask_hidden(f"{vendor.label}: {key}")
    return _value(answer, node)


def _sound(vendor: VendorConfig, key: str, text: str, node: Node) -> Any:
    if problem := _objection(vendor, key, text, node):
        raise ConfigError(f"--set: {vendor.example_account}.{key} {problem}")
    return _value(text, node)


def _objection(vendor: VendorConfig, key: str, text: str, node: Node) -> str:
    """Check one key by itself, in a config that holds nothing else of interest; says what is wrong with it, without its path."""
    path = f"accounts.{vendor.example_account}.{key}"
    try:
        account = {"vendor": vendor.name, key: _value(text, node)}
        draft = Draft(accounts={vendor.example_account: account}, pipelines=())
        parse_config(commented(draft, VENDORS), path=PLACES[0].absolute(), vendors=VENDORS)
    except ConfigError as error:
        return next((problem.removeprefix(path).lstrip(": ") for problem in error.problems if problem.startswith(path)), "")
    except ValueError:
        return f"cannot be read: {node.get('description', '')} Write it as TOML"
    return ""


def _value(text: str, node: Node) -> Any:
    """Read what was typed: a place as its table, a number or list as TOML has it, anything else as text. Raises ValueError."""
    forms = [form for branch in node.get("anyOf", ()) for form in branch.get("properties", {})]
    for form in _FORMS:
        if form in forms and text.startswith((f"{form}:", f"{form} ")):
            return {form: text[len(form) + 1 :].strip()}
    return tomllib.loads(f"value = {text}")["value"] if node.get("type") in _NOT_TEXT else text


# --- pipelines ---


def _calendar(source: str, target: VendorConfig, given: Given, answers: Answers) -> str:
    named = dict(_by_source(calendar) for calendar in given.calendars)
    if found := named.get(source) or named.get(""):
        return found
    question = Question(
        option=f"--calendar {source}=NAME",
        text=f"Which {target.label} calendar gets what comes from {source}? It must be there already",
        default="Main Hall",
    )
    return answers.ask(question, lambda text: "" if text else "is empty")


def _by_source(option: str) -> tuple[str, str]:
    """Read `ACCOUNT=NAME`; a name alone is for every source, which is the one without a name."""
    source, equals, name = option.partition("=")
    return (source.strip(), name.strip()) if equals else ("", option.strip())


def _messages(given: Given, answers: Answers) -> str:
    modes = [mode.value for mode in MessageMode]
    question = Question(option=f"--messages {'|'.join(modes)}", text="Messages", default=MessageMode.SEND.value, explanation=_MODES)
    return given.messages or answers.ask(question, lambda text: "" if text in modes else f"is none of {', '.join(modes)}")


def _region(given: Given, answers: Answers) -> str:
    question = Question(option="--region CODE", text="Country of phone numbers without a country code (two letters)", default="US")
    return (given.region or answers.ask(question, _region_objection)).upper()


def _region_objection(text: str) -> str:
    return "" if len(text) == 2 and text.isalpha() else "is no country code of two letters, such as US or CA"


# --- what comes next ---


def _next_steps(config: Config, draft: Draft, place: Path, first_port: int | None) -> Table:
    command = "calrelay" if place in (PLACES[0], SERVICE_CONFIG) else f"calrelay --config {place}"
    before: list[tuple[str, str]] = []
    if first_port is not None:
        option = "" if first_port == DEFAULT_PORTS[PAGE] else f" --port {first_port}"
        before.append((f"calrelay simulate{option}", "the vendors it names; in another terminal"))
    else:
        before += _secret_steps(draft)
    if place == SERVICE_CONFIG:
        before.insert(0, ("calrelay service install", "makes a service of it; --dry-run shows how"))
    consents = [
        (f"{command} login {name}", "asks for the consent that the account needs, once")
        for name, account in config.accounts.items()
        if account.needs_consent
    ]
    ask = "asks every account as well" if consents else "validates it, and asks every account"
    offline = [(f"{command} check --offline", "validates it, and asks nobody")] if consents else []
    rows = [*before, *offline, *consents, (f"{command} check", ask), (f"{command} plan", "shows what a sync would do")]
    return Table(rows=rows, indent=2)


def _secret_steps(draft: Draft) -> list[tuple[str, str]]:
    """Say how each secret gets to where the config looks for it."""
    variables = _named(draft, "env")
    others = f", and {', '.join(variables[1:])}" if variables[1:] else ""
    exports = [(f"export {variables[0]}=…", f"puts the secret where the config looks{others}")] if variables else []
    files = [(f"install -m 600 /dev/stdin {path}", "takes the secret, then Ctrl-D") for path in _named(draft, "file")]
    credentials = [
        (f"sudo install -m 600 /dev/stdin {CREDENTIALS / name}", "takes the secret, then Ctrl-D; systemd hands it to the service")
        for name in _named(draft, "credential")
    ]
    return [*exports, *files, *credentials]


def _named(draft: Draft, form: str) -> list[str]:
    """Return what the secrets of this form name."""
    values = [value for table in draft.accounts.values() for value in table.values()]
    return list(dict.fromkeys(value[form] for value in values if isinstance(value, dict) and list(value) == [form]))
