"""By which choice of bookings a pipeline has looked at all of them: until then nobody can tell what is new from what was there before."""

from datetime import datetime

from calrelay.engine.pipeline import Pipeline

MEMO_SCOPE = "scope:{pipeline}"
MEMO_DONE = "backfill:{pipeline}:{begin}:{end}"  # how far a load has come
MEMO_LOADED = "loaded:{pipeline}"  # the parts of the window that were loaded, until all of it is

_OF = "scope="
_UNSEEN = "not all of them"


def is_rescoped(pipeline: Pipeline) -> bool:
    """Whether the config has come to choose bookings otherwise since all of them were looked at, and the first load is over."""
    known = pipeline.ledger.memo(MEMO_SCOPE.format(pipeline=pipeline.name))
    has_changed = known is not None and not _is_same(known[0], pipeline.scope)
    return has_changed and pipeline.ledger.pipeline(pipeline.name).first_complete_at is not None


def remember_scope(pipeline: Pipeline, *, now: datetime) -> None:
    """Note by which choice all bookings have been looked at; what that let in is marked, and held. Loads by another one count no more."""
    ledger, key = pipeline.ledger, MEMO_SCOPE.format(pipeline=pipeline.name)
    known = ledger.memo(key)
    if known is None or known[0] != pipeline.scope:
        ledger.save_memo(key, pipeline.scope, now)
    loads = [MEMO_LOADED.format(pipeline=pipeline.name), *ledger.memos(MEMO_DONE.partition("{begin}")[0].format(pipeline=pipeline.name))]
    for load in loads:
        if (noted := ledger.memo(load)) is not None and not is_of(noted[0], pipeline.scope):
            ledger.save_memo(load, None, now)


def remember_unseen(pipeline: Pipeline, *, now: datetime) -> None:
    """Note that a first load ends, and not all bookings were looked at: what the next reads show may have been there before."""
    pipeline.ledger.save_memo(MEMO_SCOPE.format(pipeline=pipeline.name), _UNSEEN, now)


def scoped(note: str, scope: str) -> str:
    """Return a note with the scope that it is of."""
    return f"{note} {_OF}{scope}"


def unscoped(note: str) -> str:
    """Return a note without its scope."""
    return note.partition(f" {_OF}")[0]


def is_of(note: str, scope: str) -> bool:
    """Whether a note is of this scope; older versions noted none."""
    noted = note.partition(f" {_OF}")[2]
    return not noted or _is_same(noted, scope)


def _is_same(known: str, scope: str) -> bool:
    """Whether two scopes are one; older versions did not note whose account the source is, behind an `@`."""
    return known in (scope, scope.partition("@")[0])
