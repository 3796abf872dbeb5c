"""How `check` tells what it found: blocks for people, and the document of docs/json/check.json."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from calrelay.cli.daemon_told import daemon_in_words, daemon_to_json
from calrelay.cli.examination import AccountView, Examination, Finding, PipelineView, Verdict
from calrelay.cli.output import Block, Table
from calrelay.domain.words import counted
from calrelay.vendors.registry import VENDORS


def document_of(found: Examination) -> dict[str, Any]:
    """Return the examination as JSON."""
    return {
        "config": None if found.config is None else str(found.config),
        "state": found.state,
        "zone_data": {"version": found.zone_data, "is_old": found.is_zone_data_old},
        "offline": found.is_offline,
        "accounts": [_account_document(view) for view in found.accounts.values()],
        "pipelines": [
            {
                "name": one.name,
                "source": one.source,
                "target": one.target,
                "calendars": list(one.calendars),
                "enabled": one.is_enabled,
                "overlap": None if one.overlap is None else one.overlap.to_json(),
            }
            for one in found.pipelines
        ],
        "problems": [
            {"kind": one.kind, "account": one.account or None, "message": one.message, "remedy": one.remedy} for one in found.problems
        ],
        "warnings": all_warnings(found),
        "daemon": None if found.daemon is None else daemon_to_json(found.daemon),
        "notified": found.notified,
        "exit_code": found.exit_code,
    }


def all_warnings(found: Examination) -> list[str]:
    """Return the warnings, those beside facts included."""
    return list(dict.fromkeys([*found.warnings, *(line for view in found.accounts.values() for line in _warnings_of(view))]))


def _warnings_of(view: AccountView) -> Iterator[str]:
    """Yield each warning once, with all the facts that it is about."""
    for warning in dict.fromkeys(fact.warning for fact in view.facts if fact.warning):
        names = ", ".join(fact.name for fact in view.facts if fact.warning == warning)
        yield f"{view.name}, {names}: {warning}"


def _account_document(view: AccountView) -> dict[str, Any]:
    return {
        "name": view.name,
        "vendor": view.vendor,
        "status": view.verdict.value,
        "facts": [{"name": fact.name, "value": fact.value, "warning": fact.warning or None} for fact in view.facts],
        "calendars": dict(view.calendars),
        "clock_skew_seconds": view.clock_skew,
        "requests": view.requests,
    }


def describe(found: Examination) -> list[Block]:
    """Return the examination as people read it: what there is, then what to look at, then what is wrong."""
    blocks: list[Block] = [Table(rows=list(_basics(found)))]
    for view in found.accounts.values():
        if view.facts:
            blocks += ["", _headline(view), Table(rows=[(fact.name, fact.value) for fact in view.facts], indent=2)]
    if silent := [view for view in found.accounts.values() if not view.facts]:
        blocks += ["", *(_headline(view) for view in silent)]
    if found.pipelines:
        blocks += ["", "Pipelines", Table(rows=[_pipeline_row(view) for view in found.pipelines], indent=2)]
    if warnings := all_warnings(found):
        blocks += ["", "Worth a look", Table(rows=list(_warning_rows(warnings)), indent=2)]
    if found.problems:
        blocks += ["", "Problems", Table(rows=[row for problem in found.problems for row in _problem_rows(problem)], indent=2)]
    return [*blocks, "", _conclusion(found)]


def _basics(found: Examination) -> Iterator[tuple[str, str]]:
    if found.config is not None:
        yield "Config", str(found.config)
    if found.state is not None:
        yield "State", found.state
    yield "Zone data", found.zone_data
    if found.daemon is not None:
        yield "Daemon", daemon_in_words(dataclasses.replace(found.daemon, is_current=None), datetime.now(UTC))
    if found.notified:
        yield "Notified", f"{' and '.join(found.notified)}, for a trial"


def _headline(view: AccountView) -> str:
    vendor = VENDORS[view.vendor].label if view.vendor in VENDORS else view.vendor
    parts = [view.verdict.value]
    if view.clock_skew is not None and view.verdict is Verdict.WORKS:
        parts.append(f"clocks {abs(view.clock_skew):.0f} s apart")
    if view.requests:
        parts.append(f"{view.requests} request{'' if view.requests == 1 else 's'}")
    return f"{view.name} ({vendor}): {', '.join(parts)}"


def _pipeline_row(view: PipelineView) -> tuple[str, str, str]:
    calendars = ", ".join(view.calendars)
    return view.name, f"{view.source} → {view.target}", calendars if view.is_enabled else f"{calendars} (not enabled)"


def _warning_rows(warnings: list[str]) -> Iterator[tuple[str]]:
    for warning in warnings:
        what, dash, remedy = warning.rpartition(" — ")
        yield (what if dash else warning,)
        if dash:
            yield (f"  → {remedy}",)


def _problem_rows(problem: Finding) -> list[tuple[str, str]]:
    rows = [(problem.account or "-", problem.message)]
    return [*rows, ("", f"→ {problem.remedy}")] if problem.remedy else rows


def _conclusion(found: Examination) -> str:
    if found.problems:
        return "One problem." if len(found.problems) == 1 else f"{len(found.problems)} problems."
    doubts = len(all_warnings(found))
    but = f", but {counted(doubts, 'warning')} above {'is' if doubts == 1 else 'are'} worth a look" if doubts else ""
    if found.is_offline:
        return f"Nothing is wrong on this machine{but}. No account was asked: `calrelay check` does."
    return f"Nothing is wrong{but}. `calrelay plan` shows what a sync would do."
