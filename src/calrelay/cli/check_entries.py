"""The part of `check` that asks whether a pipeline's entries are where its config says, and whether it runs at all."""

from calrelay.assembly import assemble
from calrelay.cli.examination import Examination, Finding, Verdict
from calrelay.config.load import Config
from calrelay.engine.heirs import retired_ones
from calrelay.errors import CalrelayError
from calrelay.state.database import Access


async def examine_entries(config: Config, access: Access, found: Examination) -> None:
    """Tell of each pipeline that every pass would refuse: its entries are at another account, or it was retired."""
    works = {name for name, view in found.accounts.items() if view.verdict is Verdict.WORKS}
    names = [table.name for table in config.enabled if {table.source, table.target} <= works]
    if not names:
        return
    async with assemble(config, command="check", pipelines=names, access=access) as relay:
        retired = retired_ones(relay.ledger)
        for name, pipeline in relay.pipelines.items():
            if name in retired:
                found.warnings.append(f"pipeline {name} was retired — remove it from the config, or `calrelay adopt {name}`")
                continue
            try:
                await pipeline.check_target()
            except CalrelayError as error:
                finding = Finding.of(error, account=pipeline.target.account)
                if finding not in found.problems:  # an exchanged account is the same trouble for all that write to it
                    found.problems.append(finding)
