"""Carries the operator's decisions to the state and tells what they will mean; the next pass acts on them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from calrelay.cli.holds import holds_document, no_hold
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.domain.guard import FOR_GOOD
from calrelay.domain.link import ExternalId, Link, MessageMode, State, external_id_parts
from calrelay.domain.words import ago, counted, iso
from calrelay.engine import decisions as engine
from calrelay.engine.holds import DELETE, MOVE, as_shown, if_approved, is_approved
from calrelay.engine.locate import not_taken_up
from calrelay.errors import ConfigError
from calrelay.ports import Hold, HoldItem, Ledger
from calrelay.service.left_alone import cause_of, left_alone, why
from calrelay.state.database import Access
from calrelay.state.locks import PipelineLock
from calrelay.state.opening import State as OpenState

ITEMS_SHOWN = 20
ITEMS_NAMED = 50  # ids in a command that is to be copied
PATIENCE = timedelta(seconds=15)  # how long a decision waits for a pass to end


def approve(session: Session, output: Output, name: str) -> int:
    """Approve a hold, or all holds of a pipeline."""
    at = session.now()
    with session.state(Access.WRITE) as (_, state):
        approved = engine.approve(state.ledger, name, clock=lambda: at)
    lines = [line for hold in approved for line in _approved(hold, at)]
    output.answer(holds_document(approved), [*lines, *_next_pass(sorted({hold.pipeline for hold in approved}))])
    return 0


def reject(session: Session, output: Output, hold_id: str) -> int:
    """Reject one hold."""
    with session.state(Access.WRITE) as (_, state):
        hold = state.ledger.hold(hold_id)
        if hold is None:
            raise no_hold(hold_id)
        with at_rest(state, [hold.pipeline], "reject"):
            shown = as_shown(state.ledger.hold(hold_id) or hold).items
            rejected = engine.reject(state.ledger, hold_id, clock=session.now)
            left = _items(state.ledger.hold(hold_id))
    done = {item.source_id for one in rejected for item in one.items}
    under_way = sum(item.action == MOVE and item.source_id not in done for item in shown)
    lines = [line for one in rejected for line in _rejected(one)]
    if under_way:
        lines.append(f"  {counted(under_way, 'event')} already on the way to another calendar: that goes on, old entries may be gone")
    if left:
        lines.append(_came_since(hold, left))
    output.answer(holds_document(rejected), lines or ["Nothing of it is left to reject; it was decided meanwhile."])
    return 0


def quarantine_list(session: Session, output: Output) -> int:
    """List the events in quarantine."""
    with session.state(Access.READ) as (config, state):
        found = [link for name in _names(config) for link in state.ledger.links_in(name, {State.QUARANTINED})]
    blocks: list[Block] = [
        Table(columns=("id", "pipeline", "since", "why"), rows=[row for link in found for row in _why(link, session.now())])
    ]
    commands = [
        ("calrelay quarantine retry [ID…]", "tries them again with the next pass, without ID all of them"),
        ("calrelay quarantine drop ID", "leaves one alone until its row changes at the source"),
    ]
    blocks += ["", "Next", Table(rows=commands, indent=2)]
    output.answer(links_document(found), blocks if found else ["Nothing is in quarantine."])
    return 0


def quarantine_retry(session: Session, output: Output, external_ids: Sequence[str]) -> int:
    """Let quarantined events be tried again."""
    with session.state(Access.WRITE) as (config, state), at_rest(state, _names(config), "quarantine retry"):
        retried = engine.retry(state.ledger, _names(config), external_ids, clock=session.now)
    return _answer(output, retried, "to be tried again", is_due=bool(retried))


def quarantine_drop(session: Session, output: Output, external_id: str) -> int:
    """Leave a quarantined event alone until its row changes."""
    with session.state(Access.WRITE) as (config, state), at_rest(state, _names(config), "quarantine drop"):
        dropped = engine.drop(state.ledger, _names(config), external_id, clock=session.now)
    return _answer(output, dropped, "left alone until the source row changes")


def set_paused(session: Session, output: Output, name: str, *, is_paused: bool) -> int:
    """Pause or resume a pipeline of the config."""
    with session.state(Access.WRITE) as (config, state):
        config.pipeline(name)
        has_changed = engine.set_paused(state.ledger, name, is_paused=is_paused)
    if has_changed:
        text = f"pipeline {name} is {'paused' if is_paused else 'no longer paused'}"
    else:
        text = f"pipeline {name} is {'paused already' if is_paused else 'not paused'}"
    hint = [f"`calrelay resume {name}` lets it run again."] if is_paused else []
    output.answer({"pipeline": name, "paused": is_paused, "changed": has_changed}, [text, *hint])
    return 0


def ignore(session: Session, output: Output, external_ids: Sequence[str]) -> int:
    """Leave events alone for good, also those that no pass has taken up yet, as before a first load."""
    bases = _bases(external_ids)
    with session.state(Access.READ) as (config, state):
        new = [base for base in bases if not state.ledger.link_by_external_id(ExternalId(base))]
    fresh = session.run(_asked_for(config, new)) if new else []
    with session.state(Access.WRITE) as (_, state):
        known = [link for base in bases if base not in new for link in engine.find_links(state.ledger, base)]
        with at_rest(state, [link.pipeline for link in (*fresh, *known)], "ignore"):
            engine.take_up(state.ledger, fresh)
            changed = [link for base in bases for link in engine.ignore(state.ledger, base, clock=session.now)]
    return _answer(output, changed, _ignored, after=[f"{_undo(changed)} ends it."])


async def _asked_for(config: Config, external_ids: Sequence[str]) -> list[Link]:
    from calrelay.assembly import assemble  # noqa: PLC0415 - heavy, and only for what no pass has seen

    async with assemble(config, command="ignore") as relay:
        return await not_taken_up(list(relay.pipelines.values()), relay.ledger, external_ids)


def _ignored(link: Link) -> str:
    is_there = link.accepted is not None or link.reason == engine.IGNORED_IN_FLIGHT
    return f"ignored from now on; the target {'keeps what it has' if is_there else 'has nothing of it'}"


def look_after_again(session: Session, output: Output, external_ids: Sequence[str]) -> int:
    """Look after ignored events again: all that are named, or none where one of them is not ignored."""
    with session.state(Access.WRITE) as (config, state):
        bases = _bases(external_ids)
        found = [link for base in bases for link in engine.find_ignored(state.ledger, base)]
        for link in found:
            _refuse_elsewhere(config, link)
        pipelines = [link.pipeline for link in found]
        with at_rest(state, pipelines, "ignore"):
            changed = [link for base in bases for link in engine.unignore(state.ledger, base, clock=session.now)]
    return _answer(output, changed, "looked after again", is_due=True)


def _refuse_elsewhere(config: Config, link: Link) -> None:
    """Refuse to take up what was let go at another account than the config names now: its pipeline would not run any more."""
    target = next((table.target for table in config.pipelines if table.name == link.pipeline), link.target)
    if link.state is State.RELEASED and link.target != target:
        raise ConfigError(
            f"event {link.external_id} was let go at account {link.target}, and pipeline {link.pipeline} sends to {target} now",
            remedy=f"nothing looks after it at {link.target}: change or delete it there by hand",
        )


def list_left_alone(session: Session, output: Output) -> int:
    """List the coming events that are left alone by a decision of somebody."""
    with session.state(Access.READ) as (config, state):
        now = session.now()
        found = [link for name in _names(config) for link in left_alone(state.ledger, name, now)]
    rows = [(link.external_id, link.pipeline, why(cause_of(link))) for link in found]
    blocks: list[Block] = [Table(columns=("id", "pipeline", "why"), rows=rows), "", f"{_undo([])} looks after them again."]
    output.answer(links_document(found), blocks if found else ["No event that is to come is left alone."])
    return 0


def _bases(external_ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(external_id_parts(external_id)[0] for external_id in external_ids))


def _undo(links: Sequence[Link] | Sequence[HoldItem]) -> str:
    """Return the command that takes events back; of many it leaves the ids to a list."""
    named = " ".join(dict.fromkeys(one.external_id for one in links)) if 0 < len(links) <= ITEMS_NAMED else "ID…"
    return f"`calrelay ignore {named} --undo`"


def retag(session: Session, output: Output, name: str, mode: MessageMode) -> int:
    """Give an event, or all coming events of a pipeline, another message mode."""
    with session.state(Access.WRITE) as (config, state):
        is_pipeline = name in _names(config)
        pipelines = [name] if is_pipeline else [link.pipeline for link in engine.find_links(state.ledger, name)]
        with at_rest(state, pipelines, "retag"):
            links = list(_coming(state.ledger, name, session.now())) if is_pipeline else engine.find_links(state.ledger, name)
            changed = engine.retag(state.ledger, links, mode, clock=session.now)
    return _answer(output, changed, f"marked {mode.value}", is_due=bool(changed))


@contextlib.contextmanager
def at_rest(state: OpenState, pipelines: Iterable[str], command: str) -> Iterator[None]:
    """Keep passes of these pipelines away while links are changed, so that neither overwrites the other; a pass under way is waited for.

    Raises Busy when it takes longer than a moment.
    """
    with contextlib.ExitStack() as stack:
        for name in sorted(set(pipelines)):
            stack.enter_context(PipelineLock(state.database, name, command=command, patience=PATIENCE))
        yield


def links_document(found: Sequence[Link]) -> dict[str, Any]:
    """Return events as `events.json` has them."""
    return {"events": [_link_to_json(link) for link in found]}


def _link_to_json(link: Link) -> dict[str, Any]:
    return {
        "external_id": link.external_id,
        "pipeline": link.pipeline,
        "state": link.state.value,
        "reason": link.reason,
        "remedy": link.remedy,
        "messages": link.mode.value,
        "since": iso(link.since),
    }


def _why(link: Link, now: datetime) -> Iterator[tuple[str, str, str, str]]:
    yield link.external_id, link.pipeline, ago(link.since, now), link.reason
    if link.remedy:
        yield "", "", "", f"→ {link.remedy}"


def _approved(hold: Hold, at: datetime) -> Iterator[Block]:
    """Say what was approved at this instant, or before it, and what was not because nobody was shown it."""
    word = "approved" if any(item.approved_at == at for item in hold.items) else "already approved"
    open_ones = [item for item in hold.items if not is_approved(item, at)]
    if not open_ones:
        yield f"{word} {hold.id}: {hold.words}; {counted(hold.people, 'person', 'people')} touched"
        yield from (f"  {words}" for words in if_approved(hold))
        return
    yield f"{word} {hold.id}: {len(hold.items) - len(open_ones)} of its {counted(len(hold.items), 'event')}, those that were listed"
    yield _came_since(hold, len(open_ones))


def _items(hold: Hold | None) -> int:
    return len(hold.items) if hold else 0


def _for_how_long(hold: Hold) -> str:
    deletes = sum(item.action == DELETE for item in hold.items)
    if deletes == len(hold.items):
        return "each is kept for as long as the same would delete it"
    others = "each is left alone until its row changes at the source"
    return f"{others}; what was to be deleted is kept for as long as the same would delete it" if deletes else others


def _rejected(hold: Hold) -> Iterator[Block]:
    """Say what was rejected, for how long, and how to take it back."""
    yield f"rejected {hold.id}: the target keeps what it has of {counted(len(hold.items), 'event')}"
    if not hold.items:
        return
    if hold.kind in FOR_GOOD:
        yield "  let go for good: calrelay does not touch them any more, whatever becomes of the bookings or of the config"
    else:
        yield f"  {_for_how_long(hold)}"
    ids = "" if len(hold.items) <= ITEMS_NAMED else "; `calrelay ignore --list` has the ids"
    yield f"  to take it back: {_undo(hold.items)}{ids}"


def _came_since(hold: Hold, number: int) -> str:
    return f"  {number} came, or changed, after it was listed, and {'waits' if number == 1 else 'wait'} for you: `calrelay holds {hold.id}`"


def _answer(
    output: Output, links: Sequence[Link], done: str | Callable[[Link], str], *, is_due: bool = False, after: Sequence[Block] = ()
) -> int:
    lines: list[Block] = [
        f"{link.external_id} ({link.pipeline}): {done if isinstance(done, str) else done(link)}" for link in links[:ITEMS_SHOWN]
    ]
    if (more := len(links) - ITEMS_SHOWN) > 0:
        lines.append(f"and {more} more")
    due = _next_pass(sorted({link.pipeline for link in links})) if is_due else []
    output.answer(links_document(links), [*lines, *after, *due] if lines else ["Nothing to change."])
    return 0


def _next_pass(pipelines: Sequence[str]) -> list[Block]:
    return [f"The next pass applies it: `calrelay sync {' '.join(pipelines)}`, or the daemon by itself."]


def _names(config: Config) -> list[str]:
    return [pipeline.name for pipeline in config.pipelines]


def _coming(ledger: Ledger, pipeline: str, now: datetime) -> Iterator[Link]:
    """Yield the events at the target that have not ended, and those that are still to be created."""
    seen = set()
    for link in [
        *ledger.live_links(pipeline, ending_after=now),
        *ledger.links_in(pipeline, {State.READY, State.WAITING, State.HELD, State.QUARANTINED}),
    ]:
        if link.source_id not in seen:
            seen.add(link.source_id)
            yield link
