"""`show`: the story of one event on stdout, which may name people (rule 23). What it tells is put into words in `service/story.py`."""

from calrelay.assembly import assemble
from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.session import Session
from calrelay.cli.story_json import document_of
from calrelay.config.load import Config
from calrelay.errors import ExitCode
from calrelay.service.story import Told, next_step, sections, tell_all
from calrelay.state.database import Access


def show(session: Session, output: Output, external_id: str) -> int:
    """Tell everything known of an event; 3 where an end could not be asked."""
    told = session.run(_tell(session.load(), external_id))
    output.answer(document_of(external_id, told), [block for one in told for block in describe(one)])
    errors = [error for one in told for error in one.story.errors]
    if errors:
        output.message("This is not the whole story; the rest is as calrelay remembers it:")
        output.message(*dict.fromkeys(line for error in errors for line in lines_of(trouble_of(error))))
    return ExitCode.worst(*(error.exit_code for error in errors))


async def _tell(config: Config, external_id: str) -> list[Told]:
    async with assemble(config, command="show", access=Access.READ) as relay:
        return await tell_all(list(relay.pipelines.values()), relay.ledger, external_id)


def describe(told: Told) -> list[Block]:
    """Tell the story in sections."""
    blocks: list[Block] = [f"{told.name}, pipeline {told.story.pipeline}"]
    for heading, rows in sections(told):
        if rows:
            blocks += ["", heading, Table(rows=rows, indent=2)]
    return [*blocks, "", f"Next: {next_step(told)}", ""]
