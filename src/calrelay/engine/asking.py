"""Asks the target for many entries at once: read off its list where they lie near together, else one by one, several at a time."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import aclosing
from datetime import datetime, timedelta

from calrelay.domain.link import ExternalId, Link
from calrelay.domain.window import Span
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import ResponseInvalid, VendorError, VendorUnavailable
from calrelay.ports import Flaw, Holding

FEW = 5  # a list takes two requests at least: a page, and an empty one or the next
AT_ONCE = 5
A_PAGE_FOR = 10  # of a list no more is read than a page for this many entries that are asked for
MOST_APART = timedelta(days=400)
_DAY = timedelta(days=1)


def may_be_the_event(error: VendorError) -> bool:
    """Say whether an event that is alone in a request may have drawn this: the vendor answered, but not that it refuses."""
    return isinstance(error, VendorUnavailable | ResponseInvalid) and error.status is not None


async def check_that_it_answers(pipeline: Pipeline, failed: Mapping[ExternalId, VendorError]) -> None:
    """Look whether the target answers otherwise, where it failed over all that it was asked for. Raises the first error if it does not."""
    error = next(iter(failed.values()))
    try:
        policy = await pipeline.policy(remember=False)
        if not await pipeline.target.calendar_is_sound(policy.calendar):
            raise error
    except VendorError:
        raise error from None


async def ask_for(
    pipeline: Pipeline, asked: Mapping[ExternalId, Link | None], *, failed: MutableMapping[ExternalId, VendorError] | None = None
) -> dict[ExternalId, Holding | None]:
    """Return what the target has under each external id, as its `find` would; the links tell when their events start.

    A list proves what is there, and nothing else: whatever it does not show alive is asked for by its id. Raises VendorError. With `failed`
    those over which the target fails are noted there, and the others asked for all the same.
    """
    found: dict[ExternalId, Holding | None] = {}
    if len(asked) > FEW:
        found.update(await _read_off(pipeline, asked))
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(external_id: ExternalId) -> None:
        async with gate:
            try:
                found[external_id] = await pipeline.target.find(external_id)
            except VendorError as error:
                if failed is None or not may_be_the_event(error):
                    raise
                failed[external_id] = error

    tasks = [asyncio.create_task(ask(external_id)) for external_id in asked if external_id not in found]
    try:
        await asyncio.gather(*tasks)  # raises as the first of them does, and not as a group
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _read_off(pipeline: Pipeline, asked: Mapping[ExternalId, Link | None]) -> dict[ExternalId, Holding]:
    """Return the live entries that a list of their days shows on its first pages."""
    span = _span_of(link for link in asked.values() if link is not None)
    if span is None:
        return {}
    shown: list[Holding] = []
    pages = 0
    async with aclosing(pipeline.target.listing(span)) as listing:  # type: ignore[type-var] # an async generator, as every target's is
        async for page in listing:
            if isinstance(page, Flaw):
                break
            shown += [holding for holding in page if holding.external_id in asked]
            pages += 1
            if len(shown) >= len(asked) or pages * A_PAGE_FOR >= len(asked):
                break
    times = Counter(holding.external_id for holding in shown)  # which of two the target means is asked by id
    return {holding.external_id: holding for holding in shown if holding.external_id and times[holding.external_id] == 1}


def _span_of(links: Iterable[Link]) -> Span | None:
    """Return the days on which these start, as wanted or as last accepted; None where they lie too far apart for a list."""
    starts = sorted(_starts(links))
    if not starts or starts[-1] - starts[0] > MOST_APART:
        return None
    return Span(begin=starts[0] - _DAY, end=starts[-1] + _DAY)


def _starts(links: Iterable[Link]) -> Iterable[datetime]:
    return (imprint.start for link in links for imprint in (link.wanted, link.accepted) if imprint is not None)
