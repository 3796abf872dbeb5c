"""Who may use an external id at a target account, and how a claim follows its link (design: external ids). Pure."""

import dataclasses

from calrelay.domain.link import Link, State
from calrelay.errors import Busy
from calrelay.ports import Claim

_UNDER_WAY = frozenset({State.READY, State.WAITING, State.HELD})


def needs_its_id(link: Link) -> bool:
    """Say whether the target holds the link's entry, may hold it, or is about to be sent it."""
    return link.is_live or (link.wanted is not None and link.state in _UNDER_WAY)


def claim_after(claim: Claim | None, link: Link) -> Claim | None:
    """Return the claim as it is once this link is stored, or None where it stays as it is.

    Generations only rise, whoever asks. A link that needs nothing leaves the claim of another pipeline alone; one that needs the id while
    another pipeline has it raises Busy. The engine asks for claims while it plans, so that is a race between two processes.
    """
    is_free = not needs_its_id(link)
    if claim is None:
        return Claim(pipeline=link.pipeline, generation=link.generation, is_free=is_free)
    if claim.pipeline != link.pipeline:
        if is_free:
            return None
        if not claim.is_free:
            raise Busy(
                f"{link.base_id} at account {link.target} was claimed by pipeline {claim.pipeline} while {link.pipeline} was at work on it",
                remedy="the next pass says which of the two is refused, and how to part them",
            )
    after = dataclasses.replace(claim, pipeline=link.pipeline, generation=max(claim.generation, link.generation), is_free=is_free)
    return None if after == claim else after
