"""`try`: sends one event to the operator alone, and deletes that copy again."""

from typing import Any

from calrelay.assembly import Relay, assemble
from calrelay.cli.output import Block, Output
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.domain.event import Event
from calrelay.domain.link import MessageMode, mode_of_content
from calrelay.domain.people import Participant, Role, normalise_email, normalise_phone
from calrelay.domain.policy import Standing
from calrelay.domain.words import iso
from calrelay.engine.locate import Located, locate
from calrelay.engine.trial import delete_trial, send_trial
from calrelay.errors import ConfigError

NAME = "Trial"
_WAS_THERE = "it was there before: it tells of no new booking, and whoever else was tried on it may still hear of it; --delete it first"


def try_event(session: Session, output: Output, external_id: str, to: str | None, mode: MessageMode | None, *, is_delete: bool) -> int:
    """Send the copy, or delete it."""
    if is_delete == (to is not None):
        raise ConfigError("`try` needs one of --to and --delete", remedy=f"calrelay try {external_id} --to '+1 212 555 0147'")
    config = session.load()
    document, blocks = session.run(_delete(config, external_id) if to is None else _send(config, external_id, to, mode))
    output.answer(document, blocks)
    return 0


def contact_of(text: str, region: str) -> Participant:
    """Read a phone number or an e-mail address. Raises ConfigError when it is neither; never quotes it."""
    email = normalise_email(text) if "@" in text else None
    phone = None if "@" in text else normalise_phone(text, region)
    if email is None and phone is None:
        raise ConfigError(
            f"--to is no e-mail address, and no phone number that is valid in {region}",
            remedy="write a number with its country code, such as '+1 212 555 0147', or an address",
        )
    return Participant(name=NAME, email=email, phone=phone, role=Role.CONTACT)


async def _send(config: Config, external_id: str, to: str, mode: MessageMode | None) -> tuple[dict[str, Any], list[Block]]:
    async with assemble(config, command="try") as relay:
        found = await _meant(relay, external_id)
        contact = contact_of(to, config.pipeline(found.pipeline.name).region)
        trial = await send_trial(found.pipeline, found.link.source_id, contact, mode)
    entry = trial.entry
    has_others = trial.was_there or (trial.people or 0) > 1
    alone = ", with nobody but you on it" if trial.people == 1 and not has_others else ""
    document = {
        "pipeline": found.pipeline.name,
        "external_id": trial.external_id,
        "is_deleted": False,
        "title": entry.title,
        "start": iso(entry.start),
        "calendar": entry.calendar,
        "messages": (mode_of_content(entry.content) or MessageMode.SEND).value,
    }
    blocks: list[Block] = [
        (
            f"sent as {trial.external_id} to calendar {entry.calendar}, as pipeline {found.pipeline.name} would{alone}: "
            f"“{entry.title}”, {entry.start.isoformat()}"
        ),
        *([_WAS_THERE] if has_others else []),
        f"delete it again with `calrelay try {external_id} --delete`",
    ]
    return document, blocks


async def _meant(relay: Relay, external_id: str) -> Located:
    """Return the event in the pipeline that has it, or, before a first load, in the first of several that would take it."""
    found = await locate(list(relay.pipelines.values()), relay.ledger, external_id)
    if len(found) > 1 and not found[0].is_known:
        for one in found:
            row = await one.pipeline.source.find(one.link.source_id)
            if isinstance(row, Event) and (await one.pipeline.policy(remember=False)).judge(row)[0] is Standing.WANTED:
                return one
    return found[0]


async def _delete(config: Config, external_id: str) -> tuple[dict[str, Any], list[Block]]:
    async with assemble(config, command="try") as relay:
        found = await _meant(relay, external_id)
        copy_id, was_there = await delete_trial(found.pipeline, found.link.source_id)
    document = {"pipeline": found.pipeline.name, "external_id": copy_id, "is_deleted": was_there}
    return document, [f"{copy_id} was deleted" if was_there else f"there was no trial copy {copy_id}"]
