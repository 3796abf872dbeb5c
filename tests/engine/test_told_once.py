"""What a pass has to say it says once: an outage of many requests is one problem, a skipped event has one reason."""

import dataclasses

from calrelay.domain.event import Lifecycle
from calrelay.engine.report import problems_of_flaws
from calrelay.errors import AuthFailed, ExitCode, ResponseInvalid, VendorUnavailable
from calrelay.ports import Flaw
from tests.fakes.memory_source import an_event
from tests.fakes.pipelines import a_bench


def down(path: str) -> VendorUnavailable:
    return VendorUnavailable(f"TimeTap (account studio) failed: GET {path}", remedy="It usually passes by itself.", account="studio")


def test_an_outage_that_spoils_many_requests_is_one_problem() -> None:
    flaws = [
        Flaw(what="the appointments could not be counted", error=down("count")),
        *(Flaw(what=f"page {number} could not be read", error=down("report")) for number in range(1, 6)),
    ]
    [problem] = problems_of_flaws(flaws)
    assert problem.message == "the read is not complete: TimeTap (account studio) failed: GET count"
    assert (problem.kind, problem.remedy, problem.exit_code) == ("VendorUnavailable", "It usually passes by itself.", ExitCode.VENDOR)


def test_troubles_that_ask_for_different_things_are_told_apart() -> None:
    flaws = [
        Flaw(what="page 1 could not be read", error=down("report")),
        Flaw(what="page 2 could not be read", error=AuthFailed("401", remedy="Log in.", account="studio")),
        Flaw(what="page 3 is empty", error=ResponseInvalid("no JSON", account="studio")),
        Flaw(what="3 rows have no id"),
        Flaw(what="the list shrank"),
    ]
    assert len(problems_of_flaws(flaws)) == 5
    assert all(problem.remedy for problem in problems_of_flaws(flaws))


async def test_a_skipped_event_is_told_with_its_reason_and_not_with_its_notes_as_well() -> None:
    note = "the status is not one this release knows"
    known, unknown = (dataclasses.replace(an_event(number), notes=(note,)) for number in (1, 2))
    bench = a_bench(known, dataclasses.replace(unknown, status="ON_HOLD_NEW", lifecycle=Lifecycle.UNKNOWN))
    report = await bench.sync()
    assert (dict(report.skipped), dict(report.notes)) == ({"unknown status ON_HOLD_NEW": 1}, {note: 1})
