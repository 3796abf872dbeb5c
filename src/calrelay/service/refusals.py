"""What of the config does not run although the rest does: tenants whose file is refused, and pipelines whose account cannot be opened."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from calrelay.assembly import Relay
from calrelay.config.tenants import SCOPE
from calrelay.engine.report import PassReport
from calrelay.errors import ConfigError
from calrelay.log import get_logger

_log = get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A tenant (`acme/`) or a pipeline that the config keeps from running; a tenant `is_kept` whose old tables go on."""

    name: str
    error: ConfigError
    is_kept: bool = False

    @property
    def summary(self) -> str:
        """Say in one line what is wrong, of several things the first."""
        first, *others = self.error.problems or (self.error.message,)
        what = first.rpartition(" — ")[0] or first
        return f"{what} (and {len(others)} more)" if others else what


def refusals_of(relay: Relay) -> dict[str, Refusal]:
    """Return everything that is refused, by name."""
    tenants = relay.config.tenants
    found = [
        *(
            Refusal(name=f"{name}{SCOPE}", error=error, is_kept=bool(tenants[name].pipelines))
            for name, error in relay.config.refusals.items()
        ),
        *(Refusal(name=name, error=error) for name, error in relay.unready.items()),
    ]
    return {one.name: one for one in found}


def tell_refusals(relay: Relay, told: Mapping[str, Refusal], now: datetime) -> dict[str, Refusal]:
    """Log what is refused unless it was told before, and have `status` know it as a failed pass; return what is known now.

    A pipeline that cannot run has no pass that would say so.
    """
    found = refusals_of(relay)
    for name, refusal in found.items():
        before = told.get(name)
        if before is None or before.summary != refusal.summary:
            _tell(refusal)
            if name in relay.unready:
                report = PassReport(pipeline=name, command=relay.command, started_at=now)
                report.fail(refusal.error)
                relay.ledger.record_pass(report.to_record())
    return found


def _tell(refusal: Refusal) -> None:
    if refusal.name.endswith(SCOPE):
        what = "its old tables stay in use" if refusal.is_kept else "its pipelines do not run; the others do"
        _log.error("tenant refused", tenant=refusal.name, why=refusal.summary, what=what, remedy=refusal.error.remedy)
    else:
        _log.error("pipeline cannot run", pipeline=refusal.name, why=refusal.summary, remedy=refusal.error.remedy)
