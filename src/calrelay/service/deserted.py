"""Pipelines that the config does not name any more though events of theirs are still to come: nobody updates or deletes those."""

from collections.abc import Mapping
from datetime import datetime

from calrelay.config.load import Config
from calrelay.config.tenants import tenant_of
from calrelay.domain.words import counted
from calrelay.engine.heirs import retired_ones
from calrelay.state.ledger import SqlLedger


def deserted(config: Config, ledger: SqlLedger, now: datetime) -> Mapping[str, int]:
    """Count the coming events of pipelines that no file of the config names, by pipeline; what `retire` let go was on purpose."""
    named = {pipeline.name for pipeline in config.pipelines}
    left = {name for name in ledger.pipelines_under("") if name not in named and tenant_of(name) not in config.refusals}
    coming = {name: ledger.count_coming(name, now) for name in sorted(left - retired_ones(ledger))} if left else {}
    return {name: number for name, number in coming.items() if number}


def deserted_words(name: str, number: int) -> tuple[str, str]:
    """Say what is wrong with one of them, and what to do."""
    tenant = tenant_of(name)
    back = f"put it back, or the file of tenant {tenant}," if tenant else "put it back"
    return (
        f"{counted(number, 'coming event')} of pipeline {name}, which the config does not name: nobody looks after them",
        f"{back} if it is missing by mistake; `calrelay rename {name} NEW` if it has another name now; else `calrelay retire {name}`",
    )
