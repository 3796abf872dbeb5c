"""Carries out `retire` and `rename`: takes the locks, asks before anything is deleted, and says what to do in the config."""

import sys
from contextlib import ExitStack
from typing import Any

import typer

from calrelay.assembly import assemble
from calrelay.cli.output import Block, Output
from calrelay.cli.pass_texts import describe_passes
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.config.section import check_scoped_name
from calrelay.config.tenants import SCOPE, tenant_of
from calrelay.domain.words import counted
from calrelay.engine.heirs import is_retired
from calrelay.engine.report import PassReport
from calrelay.engine.retire import Doomed, delete_all, doomed, end, is_known, release
from calrelay.engine.retire import rename as rename_in
from calrelay.errors import ConfigError
from calrelay.state.database import Access
from calrelay.state.locks import DaemonLock, PipelineLock, load_lock


def retire(session: Session, output: Output, name: str, *, is_delete: bool, is_confirmed: bool) -> int:
    """End a pipeline."""
    if not is_delete:
        return _let_go(session, output, name)
    config = session.load()
    if name not in _names(config):
        raise ConfigError(
            f"{config.path} has no pipeline {name}, so its target cannot be reached",
            remedy="put its [[pipelines]] table back until it is retired, or retire it without --delete: the target keeps its events",
        )
    is_confirmed = (
        is_confirmed or sys.stdin is None or not sys.stdin.isatty()
    )  # --delete is said on purpose, and nobody is there to be asked
    report, found, kept, is_begun = session.run(_delete(config, output, name, is_confirmed=is_confirmed))
    if report is None:
        output.answer(_retired(config, name, found=found, is_retired=False), ["Nothing was deleted."])
        return 0
    is_done = not report.problems
    document = _retired(config, name, found=found, report=report, kept=kept, is_retired=is_done)
    output.answer(document, _told(config, name, report, kept, is_retired=is_done, is_begun=is_begun))
    return report.exit_code


def rename(session: Session, output: Output, old: str, new: str) -> int:
    """Give a pipeline another name. Raises Busy while the daemon or a pass is at work."""
    try:
        check_scoped_name(new)
    except ValueError as error:
        raise ConfigError(f"the name {new} {error}", remedy="choose another name") from None
    with session.state(Access.WRITE) as (config, state), ExitStack() as locks:
        if {old, new} <= _names(config) or old == new:
            raise ConfigError(f"{config.path} has a pipeline {new} already", remedy="choose another name")
        locks.enter_context(DaemonLock(state.database, command="rename"))
        for name in (old, new):
            locks.enter_context(load_lock(state.database, name, command="rename"))
            locks.enter_context(PipelineLock(state.database, name, command="rename"))
        live = rename_in(state.ledger, old, new, clock=session.now)
    document = {
        "from": old,
        "to": new,
        "live": live,
        "config_has": new if new in _names(config) else old if old in _names(config) else None,
    }
    output.answer(document, [f"pipeline {old} is called {new} now, with its {counted(live, 'event')} at the target.", *_steps(config, new)])
    return 0


def _let_go(session: Session, output: Output, name: str) -> int:
    with session.state(Access.WRITE) as (config, state):
        if name not in _names(config) and not is_known(state.ledger, name):
            raise ConfigError(f"there is no pipeline {name}, in the config or in the state", remedy="`calrelay status` lists them")
        with load_lock(state.database, name, command="retire"), PipelineLock(state.database, name, command="retire"):
            kept = release(state.ledger, name, clock=session.now)
    words = (
        f"pipeline {name} is retired: {counted(kept, 'coming event')} of it stay at the target as they are; nobody touches them any more."
    )
    output.answer(
        _retired(config, name, kept=kept, is_retired=True),
        [words, "A pipeline that relays the same events takes them over and creates none of them again.", *_farewell(config, name)],
    )
    return 0


async def _delete(config: Config, output: Output, name: str, *, is_confirmed: bool) -> tuple[PassReport | None, Doomed, int, bool]:
    """Delete under the lock, from before the question on: what is shown is what is deleted. Last of all, say whether it was begun."""
    async with assemble(config, command="retire", pipelines=[name]) as relay:
        pipeline = relay.pipelines[name]
        with relay.load_lock(name), relay.lock(name):
            found = await doomed(pipeline)
            if found.links and not is_confirmed and not _is_agreed(output, name, pipeline.target.account, found):
                return None, found, 0, False
            report = await delete_all(pipeline)
            kept = 0 if report.problems else end(relay.ledger, name, clock=relay.clock)
            return report, found, kept, is_retired(relay.ledger, name)


def _is_agreed(output: Output, name: str, account: str, found: Doomed) -> bool:
    people = "an unknown number of people" if found.people is None else counted(found.people, "person", "people")
    output.message(
        f"This deletes {counted(len(found.links), 'coming event')} of pipeline {name} at account {account}, with {people} on them; "
        "their reminders will not be sent."
    )
    return typer.confirm("Delete them?", default=False, err=True)


def _told(config: Config, name: str, report: PassReport, kept: int, *, is_retired: bool, is_begun: bool) -> list[Block]:
    blocks = describe_passes([report])
    if not is_retired:
        again = f"Run `calrelay retire {name} --delete` again"
        if is_begun:
            return [*blocks, "", f"Not all of it could be deleted. {again}; until then no pass of it runs."]
        return [*blocks, "", f"Nothing was deleted. {again}; until then its passes go on, unless `calrelay pause {name}` stops them."]
    rest = [f"{counted(kept, 'event')} that you had ignored or let go stay at the target."] if kept else []
    return [*blocks, "", f"pipeline {name} is retired.", *rest, *_farewell(config, name)]


def _farewell(config: Config, name: str) -> list[str]:
    if name not in _names(config):
        return []
    table = f'the [[pipelines]] table of "{name.rpartition(SCOPE)[2]}"'
    return [
        f"Now remove {table} from {_file(config, name)}; until then its passes are refused.",
        f"`calrelay adopt {name}` takes it up again.",
    ]


def _steps(config: Config, new: str) -> list[str]:
    if new in _names(config):
        return [f"{config.path} has the new name already: `calrelay plan {new}` shows that nothing is sent."]
    return [
        f'1. In {_file(config, new)} write `name = "{new.rpartition(SCOPE)[2]}"` under [[pipelines]].',
        f"2. `calrelay plan {new}` shows that nothing is sent.",
        "3. Start the daemon again.",
    ]


def _file(config: Config, pipeline: str) -> str:
    """Name the file in which a pipeline of this name stands, or is to stand."""
    tenant = tenant_of(pipeline)
    known = config.tenants.get(tenant)
    return known.label if known else f"the file {tenant}.toml of that tenant" if tenant else str(config.path)


def _retired(
    config: Config, name: str, *, found: Doomed | None = None, report: PassReport | None = None, kept: int = 0, is_retired: bool
) -> dict[str, Any]:
    """Return the answer as `retire.json` has it."""
    return {
        "pipeline": name,
        "retired": is_retired,
        "deleted": report.deleted if report else 0,
        "kept": kept,
        "people": found.people if found else None,
        "in_config": name in _names(config),
        "problems": [problem.to_json() for problem in report.problems] if report else [],
    }


def _names(config: Config) -> set[str]:
    return {pipeline.name for pipeline in config.pipelines}
