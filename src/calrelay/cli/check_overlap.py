"""The part of `check` that looks for guests who would hear of an event twice: from the source itself, and from the target."""

import dataclasses
from datetime import timedelta
from typing import Final

from calrelay.assembly import RULES_KEPT, SPEAKING, Relay, assemble
from calrelay.cli.examination import Examination, PipelineView, Verdict
from calrelay.cli.overlap_texts import overlap_words
from calrelay.config import model
from calrelay.config.load import Config
from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span
from calrelay.engine.overlap import survey_overlap
from calrelay.engine.overlapping import Overlapping
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import CalrelayError
from calrelay.state.database import Access

AHEAD: Final = timedelta(days=14)  # as far as the accounts' own probes look


async def examine_overlap(config: Config, access: Access, found: Examination) -> None:
    """Warn of every pipeline whose messages are on and whose source messages its guests, too. What cannot be told is no problem here."""
    names = [table.name for table in config.pipelines if _is_concerned(table, config, found)]
    if not names:
        return
    try:
        async with assemble(config, command="check", pipelines=names, access=access) as relay:
            for name, pipeline in relay.pipelines.items():
                await _examine(name, pipeline, relay, found)
    except CalrelayError as error:
        found.warnings.append(f"whether guests would be reminded twice could not be told: {error.message} — calrelay messages tells more")


def _is_concerned(table: model.Pipeline, config: Config, found: Examination) -> bool:
    works = all(found.accounts[name].verdict is Verdict.WORKS for name in (table.source, table.target))
    return table.enabled and works and table.messages is not MessageMode.SKIP and config.account(table.source).vendor in SPEAKING


async def _examine(name: str, pipeline: Pipeline, relay: Relay, found: Examination) -> None:
    now = relay.clock()
    if pipeline.listener is not None:
        await pipeline.listener.renew_rules(RULES_KEPT)
    overlap = await survey_overlap(pipeline, Span(begin=now, end=now + min(AHEAD, pipeline.window.future)), now)
    found.pipelines = [_with(overlap, view) if view.name == name else view for view in found.pipelines]
    if overlap:
        found.warnings.append(" — ".join(overlap_words(overlap, name, when=f"the next {AHEAD.days} days")))


def _with(overlap: Overlapping, view: PipelineView) -> PipelineView:
    return dataclasses.replace(view, overlap=overlap)
