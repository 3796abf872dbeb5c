"""What an operator does on the page: the engine's decisions, kept apart from passes, and a complete pass at once where one applies them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from calrelay.domain.words import counted
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.errors import Busy, ConfigError
from calrelay.ports import Hold
from calrelay.service.daemon import Daemon
from calrelay.service.web.views import seen

PATIENCE: Final = timedelta(seconds=15)  # how long a decision waits for a pass to end
_LOOK_AGAIN: Final = "look at it again, and decide anew"

Form = Mapping[str, str]
Deed = Callable[[Daemon, Form], Awaitable[str]]
"""Does what a form asks and says what was done. Raises CalrelayError when it could not be."""


async def approve(daemon: Daemon, form: Form) -> str:
    """Approve a hold as it was shown; a pass applies it at once."""
    hold = _hold_as_seen(daemon, form)
    decisions.approve(daemon.relay.ledger, hold.id, clock=daemon.clock)
    _run_soon(daemon, hold.pipeline)
    return f"Approved: {hold.words.partition(':')[0]}. A pass of {hold.pipeline} applies it now."


async def reject(daemon: Daemon, form: Form) -> str:
    """Reject a hold as it was shown: the target keeps what it has."""
    pipeline = _hold_as_seen(daemon, form).pipeline
    async with at_rest(daemon, pipeline):
        hold = _hold_as_seen(daemon, form)  # the pass that was waited for may have changed it
        rejected = decisions.reject(daemon.relay.ledger, hold.id, clock=daemon.clock)
    if not rejected:
        return "Nothing is left to reject: what was approved before goes on, and what was decided since stays so."
    what = rejected[0].words.partition(":")[0]
    return f"Rejected: {what}. The target keeps what it has; `calrelay ignore --list` names the events."


async def retry(daemon: Daemon, form: Form) -> str:
    """Have an event in quarantine, or all of them, tried again by a pass at once."""
    external_id, retried = form.get("external_id", ""), 0
    for pipeline in _pipelines(daemon, form):
        async with at_rest(daemon, pipeline):
            links = decisions.retry(daemon.relay.ledger, [pipeline], [external_id] if external_id else [], clock=daemon.clock)
        if links:
            _run_soon(daemon, pipeline)
        retried += len(links)
    return f"{external_id or counted(retried, 'event')} will be tried again now." if retried else "Nothing was in quarantine."


async def drop(daemon: Daemon, form: Form) -> str:
    """Leave an event in quarantine alone until its row changes at the source."""
    external_id = _wanted(form, "external_id")
    for pipeline in _pipelines(daemon, form):
        async with at_rest(daemon, pipeline):
            decisions.drop(daemon.relay.ledger, [pipeline], external_id, clock=daemon.clock)
    return f"{external_id} is left alone until it changes at the source."


async def pause(daemon: Daemon, form: Form) -> str:
    """Stop a pipeline until it is resumed; a pass under way goes on to its end."""
    name = daemon.relay.config.pipeline(_wanted(form, "pipeline")).name
    decisions.set_paused(daemon.relay.ledger, name, is_paused=True)
    return f"{name} is paused."


async def resume(daemon: Daemon, form: Form) -> str:
    """Let a paused pipeline run again, at once."""
    name = daemon.relay.config.pipeline(_wanted(form, "pipeline")).name
    decisions.set_paused(daemon.relay.ledger, name, is_paused=False)
    _run_soon(daemon, name)
    return f"{name} runs again."


DEEDS: Final[Mapping[str, Deed]] = {
    "/holds/approve": approve,
    "/holds/reject": reject,
    "/quarantine/retry": retry,
    "/quarantine/drop": drop,
    "/pipelines/pause": pause,
    "/pipelines/resume": resume,
}


@contextlib.asynccontextmanager
async def at_rest(daemon: Daemon, pipeline: str) -> AsyncIterator[None]:
    """Keep passes of a pipeline away while its links are changed, so that neither overwrites the other; the block must not wait.

    A pass of ours is waited for without holding up anything else. Raises Busy when it takes too long, or another process is at work.
    """
    async with contextlib.AsyncExitStack() as stack:
        if runner := daemon.runners.get(pipeline):
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    await stack.enter_async_context(runner.at_rest())
            except TimeoutError:
                raise Busy(f"a pass of {pipeline} is under way and takes its time", remedy="try again when it has ended") from None
        with daemon.relay.lock(pipeline):
            yield


def _hold_as_seen(daemon: Daemon, form: Form) -> Hold:
    """Return the hold, if it still is what the operator was shown (rule 15); a decision covers just that."""
    hold = daemon.relay.ledger.hold(_wanted(form, "hold"))
    if hold is None:
        raise ConfigError("this hold is not open any more", remedy="somebody decided it, or the source changed its mind; nothing was done")
    if form.get("seen") != seen(hold):
        raise ConfigError("this hold has changed since it was shown; nothing was done", remedy=_LOOK_AGAIN)
    daemon.relay.ledger.note_shown([hold], daemon.clock())
    return hold


def _pipelines(daemon: Daemon, form: Form) -> Iterable[str]:
    if name := form.get("pipeline", ""):
        return [daemon.relay.config.pipeline(name).name]
    return [pipeline.name for pipeline in daemon.relay.config.pipelines]


def _run_soon(daemon: Daemon, pipeline: str) -> None:
    if runner := daemon.runners.get(pipeline):
        runner.due(Reach.COMPLETE)


def _wanted(form: Form, key: str) -> str:
    if found := form.get(key, "").strip():
        return found
    raise ConfigError(f"the form lacks its `{key}`", remedy="reload the page and try again")
