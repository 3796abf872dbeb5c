"""Which generation of an external id comes next: a deleted one is never used again, whoever used it (design of external ids)."""

import dataclasses

from calrelay.domain.link import Link
from calrelay.ports import Ledger


def next_generation(ledger: Ledger, link: Link, *, seen: int = 0) -> int:
    """Return the generation after a link's, and after all that its target account is known to have used.

    `seen` is the highest that the target itself has shown.
    """
    claim = ledger.claims(link.target, [link.base_id]).get(link.base_id)
    return max(link.generation + 1, claim.generation if claim else 0, seen + 1)


def used_up(link: Link, generation: int) -> list[Link]:
    """Return links that, stored in this order, leave the link as it is and have its claim remember that a generation was used."""
    return [dataclasses.replace(link, generation=max(link.generation, generation + 1)), link]
