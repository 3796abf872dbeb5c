"""What held events are called: their source is asked by id. Names stay with the caller, who shows them and keeps nothing (rule 23)."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from calrelay.domain.event import Row, SourceId
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import CalrelayError, VendorError

AT_ONCE = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What the source says now of those it was asked for, None where it has no such event; and why it could not be asked further."""

    rows: Mapping[SourceId, Row | None]
    error: CalrelayError | None = None


async def look_up(pipeline: Pipeline, source_ids: Sequence[SourceId], progress: Callable[[int, int], None]) -> Looked:
    """Ask for events by id, a few at once; after the first that cannot be asked for, no other is.

    Writes nothing, and tells a VendorError instead of raising it.
    """
    rows: dict[SourceId, Row | None] = {}
    failures: list[VendorError] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(source_id: SourceId) -> None:
        async with gate:
            if failures:
                return
            try:
                rows[source_id] = await pipeline.source.find(source_id)
            except VendorError as error:
                failures.append(error)
            else:
                progress(len(rows), len(source_ids))

    async with asyncio.TaskGroup() as group:
        for source_id in source_ids:
            group.create_task(ask(source_id))
    return Looked(rows=rows, error=failures[0] if failures else None)
