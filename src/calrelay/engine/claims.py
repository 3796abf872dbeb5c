"""Which events other pipelines have at the same target account: an external id is used by one pipeline at a time."""

import dataclasses
from collections.abc import Iterable

from calrelay.domain.event import SourceId
from calrelay.domain.link import Link, State
from calrelay.domain.policy import Policy
from calrelay.engine.heirs import Legacy, how_to_part, inherit, inherit_decision
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Problem
from calrelay.errors import CLAIMED
from calrelay.ports import Claim


class Claims:
    """What is claimed of some events, asked for at once."""

    def __init__(self, pipeline: Pipeline, policy: Policy, source_ids: Iterable[SourceId]) -> None:
        """Ask the ledger; without events there is no query."""
        self._pipeline = pipeline
        self._policy = policy
        bases = [policy.base_id(source_id) for source_id in source_ids]
        self._by_id = pipeline.ledger.claims(policy.target, bases) if bases else {}

    def of(self, source_id: SourceId) -> Claim | None:
        """Return the claim on an event, whoever has it."""
        return self._by_id.get(self._policy.base_id(source_id))

    def of_another(self, source_id: SourceId) -> Claim | None:
        """Return the claim of another pipeline that keeps this one from relaying an event, if there is one."""
        claim = self.of(source_id)
        return claim if claim is not None and claim.bars(self._policy.pipeline) else None

    def legacy(self, source_id: SourceId) -> Legacy | None:
        """Return what a retired pipeline left behind of an event; None where nobody bars it, or who does is not retired."""
        claim = self.of_another(source_id)
        return inherit(self._pipeline.ledger, claim.pipeline, self._policy.fresh_link(source_id)) if claim else None

    def decision(self, source_id: SourceId, link: Link | None) -> Link | None:
        """Return what to begin with of an event that nobody has, and that another pipeline was told to leave alone; else None."""
        claim = self.of(source_id)
        if claim is None or not claim.is_free or claim.pipeline == self._policy.pipeline:
            return None
        return inherit_decision(self._pipeline.ledger, link or self._policy.fresh_link(source_id))

    def problem(self, source_id: SourceId, claim: Claim) -> Problem:
        """Say which two pipelines want an event, and how to part them."""
        own, other = self._policy.pipeline, claim.pipeline
        return Problem(
            kind=CLAIMED,
            external_id=self._policy.base_id(source_id),
            message=f"pipelines {other} and {own} both claim this event for account {self._policy.target}",
            remedy=how_to_part(own, other, is_known=not self._pipeline.owns_prefix),
        )


def as_barred(link: Link, claim: Claim) -> Link:
    """Keep in mind that the config lets an event in which another pipeline has: when that gives it up, somebody is to decide first."""
    reason = f"claimed by pipeline {claim.pipeline}"
    return dataclasses.replace(
        link, wanted=None, source_hash="", state=State.SETTLED, let_in=True, reason=reason, remedy="", hold=None, attempts=0
    )
