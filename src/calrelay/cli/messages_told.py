"""`messages`: what a source sends by itself, as a summary and a table, as one event's timeline, or as JSON. Names nobody."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from calrelay.assembly import SPEAKING, Relay, assemble
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.passes import refused_of
from calrelay.cli.session import Session
from calrelay.config import model
from calrelay.config.load import Config
from calrelay.config.tenants import SCOPE
from calrelay.domain.link import external_id_parts
from calrelay.domain.messages import Message, Why
from calrelay.domain.reminders import Channel
from calrelay.domain.words import counted, in_place
from calrelay.engine.locate import locate
from calrelay.engine.messages import EventMessages, Overlap, survey_messages, tell_messages
from calrelay.engine.report import problems_of_flaws
from calrelay.errors import ConfigError, ExitCode
from calrelay.state.database import Access

_CHANNELS = {Channel.EMAIL: "e-mail", Channel.SMS: "text"}
_LEVELS = {0: "the vendor's own", 1: "the account's", 2: "by language", 3: "by service", 4: "by language and service"}


def tell(session: Session, output: Output, names: Sequence[str], external_id: str | None) -> int:
    """Tell of all events to come, or of one."""
    config = session.load()
    tables = speaking(config, names)
    if external_id and not tables:
        raise ConfigError(_nobody_speaks(names), remedy="name a pipeline that reads a TimeTap account")
    for tenant in refused_of(config, names):
        output.message(f"left out: {tenant} — its file is refused; `calrelay check --offline` says why")
    found = session.run(_survey(config, tables, external_id)) if tables else []
    blocks = _timeline(found[0]) if external_id else [block for one in found for block in describe(one)]
    output.answer(document_of(found), [*blocks, *_left_out(names, tables)])
    for problem in problems_of_flaws([flaw for one in found for flaw in one.flaws]):
        output.message(f"not all could be read: {problem.message}")
    return ExitCode.VENDOR if any(one.flaws for one in found) else ExitCode.DONE


def speaking(config: Config, names: Sequence[str]) -> list[model.Pipeline]:
    """Return the pipelines of a source that messages people by itself. Raises ConfigError where a name is unknown."""
    chosen = config.select(names) if names else config.enabled
    return [table for table in chosen if config.account(table.source).vendor in SPEAKING]


def document_of(found: Iterable[Overlap]) -> dict[str, Any]:
    """Return what `messages.json` promises; nobody is named."""
    found = list(found)
    guests = {guest for one in found for guest in one.guests_doubled}  # somebody known to two accounts is one guest
    messages = [_message(told, message) for one in found for told in one.events for message in told.messages]
    return {"guests_doubled": len(guests), "messages": sorted(messages, key=lambda one: (one["at"], one["external_id"]))}


def describe(found: Overlap) -> list[Block]:
    """Tell of all events: a summary, what it comes from, and every message."""
    rows = [_row(told, message) for told in found.events for message in told.messages]
    rows.sort(key=lambda row: row[0])
    blocks: list[Block] = [summary(found), ""]
    if sources := _sources(found):
        blocks += [Table(columns=("from", "what", "to", "messages", "doubled", "to switch it off"), rows=sources), ""]
    if rows:
        blocks += [Table(columns=("event", "at", "to", "by", "why", "doubled"), rows=[row[1:] for row in rows]), ""]
    return [*blocks, *remarks(found)]


def summary(found: Overlap) -> str:
    """Say how many guests would be reminded twice, and by what."""
    doubled = [message for told in found.events for message in told.messages if told.is_doubled(message)]
    if not doubled:
        return f"{found.account}: no guest would be reminded twice."
    by = dict.fromkeys(_source_in_words(told, message) for told in found.events for message in told.messages if told.is_doubled(message))
    return f"{found.account}: {counted(len(found.guests_doubled), 'guest')} would be reminded twice, by {_listed(list(by))}."


def remarks(found: Overlap) -> list[Block]:
    """Say what the numbers do not: what is not known, and what may send besides."""
    lines: list[Block] = []
    if not found.rules.triggers:
        what = "shows no triggers" if found.rules.is_told else "refuses to show its triggers"
        lines.append(
            f"{found.account} {what}. That means just that: built-in reminders are separate, and the Events API may be switched off."
        )
    waiting = {message.action: message for told in found.events for message in told.possible}
    lines += [
        f"{_trigger_in_words(message)} also mails {message.recipient.value} when an appointment is changed{_status(message)}."
        for message in waiting.values()
    ]
    if found.rules.excluded:
        lines.append(
            "Some categories of mail are disabled; where reminders are among them, TimeTap does not send the built-in ones by mail."
        )
    if found.rules.lost:
        lines.append(f"What becomes of actions whose template is gone cannot be told: templates {', '.join(sorted(found.rules.lost))}.")
    if found.unreadable:
        lines.append(f"{counted(found.unreadable, 'appointment')} could not be read and are not counted.")
    if any(message.why is Why.BUILT_IN for told in found.events for message in told.messages):
        lines.append(
            "Built-in reminders cannot be switched off from here: choose “Don't send” in TimeTap's Messaging Settings, for bookings to "
            "come. Those that exist keep theirs; to change one by API would mail its guest."
        )
    return lines


def _left_out(names: Sequence[str], tables: Sequence[model.Pipeline]) -> list[Block]:
    """Say why there is nothing to tell, or nothing of a pipeline that was asked for."""
    told = {table.name for table in tables}
    silent = [name for name in names if not any(one == name or (name.endswith(SCOPE) and one.startswith(name)) for one in told)]
    return [f"{_nobody_speaks(silent)}; only TimeTap's messages can be told."] if silent or not tables else []


def _nobody_speaks(names: Sequence[str]) -> str:
    whoever = f"{' and '.join(names)} {'read' if len(names) > 1 else 'reads'} no source" if names else "no enabled pipeline reads a source"
    return f"{whoever} that messages people by itself"


async def _survey(config: Config, tables: Sequence[model.Pipeline], external_id: str | None) -> list[Overlap]:
    names = [table.name for table in tables]
    schedules = {table.name: _schedule(config, table) for table in tables}
    async with assemble(config, command="messages", pipelines=names, access=Access.READ) as relay:
        now = relay.clock()
        if external_id:
            return [await _one(relay, external_id, schedules, now)]
        by_account: dict[str, list[str]] = {}
        for table in (table for table in tables if table.name in relay.pipelines):
            by_account.setdefault(table.source, []).append(table.name)
        return [
            await survey_messages([relay.pipelines[name] for name in of_account], relay.messengers[account], schedules, now)
            for account, of_account in by_account.items()
        ]


async def _one(relay: Relay, external_id: str, schedules: Mapping[str, Sequence[timedelta]], now: datetime) -> Overlap:
    base, _ = external_id_parts(external_id)
    try:
        located = (await locate(list(relay.pipelines.values()), relay.ledger, base))[0]
    except ConfigError as error:
        known = " and ".join(relay.pipelines)
        raise ConfigError(f"{external_id} is no id of {known}; only TimeTap's messages can be told", remedy=error.remedy) from None
    messenger = relay.messengers[located.pipeline.source.account]
    return await tell_messages(located.pipeline, located.link, located.is_known, messenger, schedules, now)


def _schedule(config: Config, table: model.Pipeline) -> Sequence[timedelta]:
    schedule: Sequence[timedelta] = getattr(config.account(table.target), "reminders", ())
    return schedule


# --- one message ---


def _message(told: EventMessages, message: Message) -> dict[str, Any]:
    identity = message.subject_id
    return {
        "external_id": told.external_id,
        "recipient": message.recipient.value,
        "channel": message.channel.value,
        "at": _utc(message.at),
        "why": message.why.value,
        "object": message.subject.value,
        "object_id": int(identity) if identity.isdecimal() else identity,
        "can_silence": message.can_silence,
        "doubled": told.is_doubled(message),
    }


def _utc(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def _row(told: EventMessages, message: Message) -> tuple[Any, ...]:
    return (
        (message.at, told.external_id),
        told.external_id,
        in_place(message.at, told.event.zone) if message.at else "",
        message.recipient.value,
        _CHANNELS[message.channel],
        _why(message),
        "yes" if told.is_doubled(message) else "",
    )


def _why(message: Message) -> str:
    return message.why.value if message.trigger is None else f"{message.why.value} {_name(message)}"


def _name(message: Message) -> str:
    trigger = message.trigger
    return f"“{trigger.description}”" if trigger and trigger.description else f"action:{message.action}"


def _source_in_words(told: EventMessages, message: Message) -> str:
    if message.why is Why.BUILT_IN and message.at:
        hours = round((told.event.start - message.at) / timedelta(hours=1))
        return f"the built-in {hours}-hour {_CHANNELS[message.channel]} reminder"
    return _trigger_in_words(message) if message.why is Why.TRIGGER else f"invitation campaign {message.subject_id}"


def _trigger_in_words(message: Message) -> str:
    return f"trigger {_name(message)} (action:{message.action})"


def _status(message: Message) -> str:
    trigger = message.trigger
    if trigger is None or not (trigger.old_status or trigger.new_status):
        return ""
    return f" from {_any(trigger.old_status)} to {_any(trigger.new_status)}"


def _any(status: str) -> str:
    return "any status" if status in ("", "*") else status


def _sources(found: Overlap) -> list[tuple[str, ...]]:
    """Return what the messages come from, with how many each sends, and what to do about it."""
    groups: dict[tuple[str, ...], list[bool]] = {}
    for told in found.events:
        for message in told.messages:
            groups.setdefault(_source(told, message), []).append(told.is_doubled(message))
    return [(*source[:3], str(len(doubled)), str(sum(doubled)), source[3]) for source, doubled in sorted(groups.items())]


def _source(told: EventMessages, message: Message) -> tuple[str, str, str, str]:
    if message.why is Why.BUILT_IN:
        return ("built-in", _source_in_words(told, message).removeprefix("the built-in "), message.recipient.value, "see below")
    template = message.template
    level = _LEVELS.get(template.level or 0, "") if template and template.level is not None else ""
    text = f", template {template.id}{f' ({level})' if level else ''}" if template else ""
    if message.why is Why.INVITATION:
        return (f"campaign {message.subject_id}", f"action:{message.action}{text}", message.recipient.value, message.how)
    return (f"action:{message.action}", f"{_name(message)}{text}", message.recipient.value, message.how)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# --- one event ---


def _timeline(found: Overlap) -> list[Block]:
    """Tell of one event in order of time: what TimeTap sent and will send, and when Apptoto reminds."""
    [told] = found.events
    event = told.event
    rows = [
        (message.at, f"TimeTap, {_CHANNELS[message.channel]} to {message.recipient.value}", _remark(told, message))
        for message in told.messages
        if message.at is not None
    ]
    rows += [(at, "Apptoto reminds", "by the account's `schedule`") for at in told.reminders]
    rows += [(event.start, "begins", ""), (event.end, "ends", ""), (told.now, "now", "")]
    rows += [(one.at, "TimeTap", f"trigger {one.trigger}, which is not there any more: may send, or not") for one in told.ghosts]
    lines = [(in_place(at, event.zone), what, remark) for at, what, remark in sorted(rows)]
    heading = "is messaged by Apptoto, too" if told.is_messaged else "is not messaged by Apptoto"
    return [f"{told.external_id}, pipeline {told.pipeline}; its guest {heading}", "", Table(rows=lines, indent=2), "", *remarks(found)]


def _remark(told: EventMessages, message: Message) -> str:
    doubled = "; doubled" if told.is_doubled(message) else ""
    return f"{_why(message)}{doubled}{f'; {message.how}' if doubled and message.can_silence else ''}"
