"""Vendors that refuse, die, lie or break off: what is sound goes on, nothing is concluded to be gone, the operator is told what to do."""

import json
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import AuthFailure
from tests.system_local.naive import wanted_of
from tests.system_local.stage import Stage

LIST = "/v1/events/search"
REPORT = "/appointmentList/report"


def passes_of(document: Any) -> Mapping[str, Any]:
    return {one["pipeline"]: one for one in document["passes"]}


def wanted(stage: Stage, prefix: str) -> set[str]:
    return {external_id for external_id in wanted_of(stage.world, datetime.now(UTC)) if external_id.startswith(prefix)}


def close_port() -> str:
    """Return an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


# --- credentials ---


def _wrong_consent(stage: Stage) -> None:
    stage.world.tripleseat.authority.revoke()


def _wrong_private_key(stage: Stage) -> None:
    stage.world.timetap.settings.private_key = "f" * 32


def _wrong_api_key(stage: Stage) -> None:
    stage.world.apptoto.settings.api_key = "another-key"


def _forbidden(stage: Stage) -> None:
    stage.world.apptoto.settings.forbidden = True


CREDENTIALS: Mapping[str, tuple[Callable[[Stage], object], str, str, str]] = {
    "consent taken back": (_wrong_consent, "venue", "venue", "calrelay login venue"),
    "wrong private key": (_wrong_private_key, "studio", "studio", "calrelay check"),
    "wrong API key": (_wrong_api_key, "venue", "reminders", "calrelay check"),
    "API key without rights": (_forbidden, "studio", "reminders", "calrelay check"),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_refused_credentials_name_the_account_and_the_way_out(small_stage: Stage, case: str) -> None:
    spoil, pipeline, account, remedy = CREDENTIALS[case]
    spoil(small_stage)
    said = small_stage.type("sync", pipeline, "--json")
    (told,) = said.document["passes"]
    assert (said.code, told["outcome"]) == (3, "failed")
    assert [problem["kind"] for problem in told["problems"]] == ["AuthFailed"]
    assert account in told["problems"][0]["message"]
    assert remedy in told["problems"][0]["remedy"]
    assert "Traceback" not in said.err
    assert small_stage.held() == {}
    words = small_stage.type("sync", pipeline)
    assert words.code == 3
    assert remedy in words.out + words.err


@pytest.mark.parametrize("failure", [AuthFailure.LOGIN_PAGE, AuthFailure.REDIRECT, AuthFailure.NO_OWNER])
def test_a_consent_that_is_gone_says_login_however_tripleseat_puts_it(small_stage: Stage, failure: AuthFailure) -> None:
    small_stage.sync()
    before = small_stage.held().keys()
    small_stage.world.tripleseat.settings.auth_failure = failure
    small_stage.world.tripleseat.authority.revoke()
    small_stage.forget_requests()
    said = small_stage.type("sync", "venue", "--json")
    (told,) = said.document["passes"]
    assert (said.code, told["outcome"], told["deleted"]) == (3, "failed", 0)
    assert "calrelay login venue" in json.dumps(told["problems"])
    assert small_stage.held().keys() == before


def test_no_consent_at_all_says_login(small_stage: Stage) -> None:
    small_stage.database.unlink()
    said = small_stage.type("sync", "venue", "--json")
    assert said.code == 3
    assert "calrelay login venue" in json.dumps(said.document)


def test_an_access_token_that_expired_is_renewed_without_a_word(small_stage: Stage) -> None:
    small_stage.world.tripleseat.expire_tokens()
    small_stage.world.timetap.tokens.expire()
    said = small_stage.type("sync", "--json")
    assert said.code == 0
    assert small_stage.held().keys() == wanted(small_stage, "t")


# --- dead vendors ---


@pytest.mark.parametrize(("vendor", "dead", "other"), [("tripleseat", "venue", "studio"), ("timetap", "studio", "venue")])
def test_a_dead_source_fails_its_own_pipeline_only(small_stage: Stage, vendor: str, dead: str, other: str) -> None:
    small_stage.urls = {**small_stage.urls, vendor: close_port()}
    small_stage.configure()
    said = small_stage.type("sync", "--json")
    told = passes_of(said.document)
    assert (said.code, told[dead]["outcome"], told[other]["outcome"]) == (3, "failed", "ok")
    assert told[other]["created"] == len(small_stage.held()) > 0
    assert dead in told[dead]["problems"][0]["message"]


def test_a_dead_target_fails_both_and_says_so_once_each(small_stage: Stage) -> None:
    small_stage.urls = {**small_stage.urls, "apptoto": close_port()}
    small_stage.configure()
    said = small_stage.type("sync", "--json")
    told = passes_of(said.document)
    assert (said.code, told["venue"]["outcome"], told["studio"]["outcome"]) == (3, "failed", "failed")
    assert [len(one["problems"]) for one in told.values()] == [1, 1]
    assert "reminders" in told["venue"]["problems"][0]["message"]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_source_that_only_fails_deletes_nothing(small_stage: Stage, status: int) -> None:
    small_stage.sync()
    before = small_stage.held().keys()
    small_stage.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, status=status, path="/v1/", times=None, body="<h1>sorry</h1>"))
    small_stage.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=status, path="/appointment", times=None, body="<h1>sorry</h1>"))
    small_stage.forget_requests()
    passes = small_stage.sync()
    assert (passes.code, [report.outcome.value for report in passes.reports]) == (3, ["failed", "failed"])
    assert (small_stage.writes(), small_stage.held().keys()) == ([], before)


def test_what_passes_by_itself_is_never_seen_by_the_operator(small_stage: Stage) -> None:
    for kind in (Kind.STATUS, Kind.RESET):
        small_stage.world.tripleseat.faults.add(Fault(kind=kind, path=LIST))
        small_stage.world.timetap.faults.add(Fault(kind=kind, path=REPORT))
        small_stage.world.apptoto.faults.add(Fault(kind=kind, path="/v1/events", method="GET"))
    small_stage.world.apptoto.faults.add(Fault(kind=Kind.STATUS, method="PUT", status=502, when=When.AFTER))
    passes = small_stage.sync()
    assert (passes.code, [report.problems for report in passes.reports]) == (0, [[], []])
    assert small_stage.held().keys() == wanted(small_stage, "t")


# --- incomplete reads ---

SPOILT_PAGES = {
    "HTML with 200": Fault(kind=Kind.HTML, path=LIST, skip=1, times=None),
    "cut-off JSON": Fault(kind=Kind.CUT, path=LIST, skip=1, times=None),
    "an empty body": Fault(kind=Kind.EMPTY, path=LIST, skip=1, times=None),
    "an empty promised page": Fault(
        kind=Kind.STATUS, status=200, path=LIST, skip=1, times=None, body=json.dumps({"total_pages": 3, "results": []})
    ),
    "another shape": Fault(kind=Kind.STATUS, status=200, path=LIST, skip=1, times=None, body='{"status": "ok"}'),
    "a server error": Fault(kind=Kind.STATUS, status=500, path=LIST, skip=1, times=None),
}


def a_copy(fault: Fault) -> Fault:
    return Fault(**{name: getattr(fault, name) for name in Fault.__slots__})


@pytest.mark.parametrize("case", SPOILT_PAGES)
def test_after_a_spoilt_page_2_the_sound_page_still_creates_and_nothing_is_deleted(full_stage: Stage, case: str) -> None:
    """Two thirds of what was relayed are missing from such a read."""
    full_stage.sync("venue")
    before = full_stage.held().keys()
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=3)  # the list is in order of starts: this is on page 1
    full_stage.world.tripleseat.events.add(an_event_row(1, start, start + timedelta(hours=22)))
    full_stage.world.tripleseat.events.shift(next(iter(_late(full_stage))), timedelta(hours=1))
    full_stage.world.tripleseat.faults.add(a_copy(SPOILT_PAGES[case]))
    passes = full_stage.sync("venue")
    report = passes.of("venue")
    assert (passes.code, report.outcome.value, report.created, report.deleted) == (3, "partial", 1, 0), report.problems
    assert full_stage.held().keys() == before | {"ts-1"}
    assert all(problem.remedy for problem in report.problems)
    full_stage.world.tripleseat.faults.clear()
    assert full_stage.sync("venue").code == 0


def _late(stage: Stage) -> list[int]:
    """Return the ids of relayed events, the latest first."""
    held = sorted(stage.held().values(), key=lambda event: event.start_time, reverse=True)
    return [int((event.external_id or "").removeprefix("ts-")) for event in held]


@pytest.mark.parametrize("kind", [Kind.HTML, Kind.CUT, Kind.EMPTY])
def test_after_a_spoilt_page_1_nothing_is_sent_at_all(full_stage: Stage, kind: Kind) -> None:
    full_stage.sync("venue")
    full_stage.forget_requests()
    full_stage.world.tripleseat.faults.add(Fault(kind=kind, path=LIST, times=None))
    passes = full_stage.sync("venue")
    assert (passes.code, passes.of("venue").outcome.value, full_stage.writes()) == (3, "failed", [])


@pytest.mark.parametrize("kind", [Kind.HTML, Kind.CUT, Kind.EMPTY])
def test_a_spoilt_page_of_appointments_deletes_nothing(full_stage: Stage, kind: Kind) -> None:
    full_stage.sync("studio")
    before = full_stage.held().keys()
    full_stage.forget_requests()
    full_stage.world.timetap.faults.add(Fault(kind=kind, path="/live" + REPORT, skip=1, times=None))
    passes = full_stage.sync("studio")
    assert (passes.code, full_stage.writes(), full_stage.held().keys()) == (3, [], before)


def test_a_count_that_disagrees_deletes_nothing(full_stage: Stage) -> None:
    full_stage.sync("studio")
    full_stage.world.timetap.book.hide(int(min(full_stage.held()).removeprefix("tt-")))
    full_stage.world.timetap.settings.count_offset = 1
    full_stage.forget_requests()
    passes = full_stage.sync("studio")
    assert (passes.code, passes.of("studio").outcome.value, full_stage.writes()) == (3, "partial", [])


def test_a_source_that_shows_nothing_any_more_is_held_not_believed(full_stage: Stage) -> None:
    full_stage.sync("venue")
    before = full_stage.held().keys()
    full_stage.world.tripleseat.settings.two_sites = True  # a search without site_id finds nothing, and says so with 200
    full_stage.forget_requests()
    passes = full_stage.sync("venue")
    assert (passes.code, passes.of("venue").outcome.value, full_stage.writes()) == (4, "partial", [])
    assert full_stage.held().keys() == before


def test_a_few_rows_that_hide_are_asked_for_by_id_and_kept(full_stage: Stage) -> None:
    full_stage.sync("studio")
    numbers = [int(external_id.removeprefix("tt-")) for external_id in sorted(full_stage.held())[:3]]
    for number in numbers:
        full_stage.world.timetap.book.hide(number)
    full_stage.forget_requests()
    passes = full_stage.sync("studio")
    assert (passes.code, full_stage.writes()) == (0, [])
    assert [full_stage.world.timetap.journal.count("GET", f"/appointments/{number}") for number in numbers] == [1, 1, 1]


def test_what_is_missing_and_cannot_be_asked_for_is_kept(full_stage: Stage) -> None:
    full_stage.sync("studio")
    number = int(min(full_stage.held()).removeprefix("tt-"))
    full_stage.world.timetap.book.delete(number)
    full_stage.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=500, path=f"/appointments/{number}", times=None))
    full_stage.forget_requests()
    passes = full_stage.sync("studio")
    assert (passes.code, full_stage.writes()) == (3, [])
    assert f"tt-{number}" in full_stage.held()


# --- a target that breaks ---


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("kind", [Kind.RESET, Kind.CUT, Kind.EMPTY, Kind.HTML, Kind.STATUS])
def test_a_target_that_breaks_off_is_caught_up_with_later_and_nothing_is_doubled(small_stage: Stage, kind: Kind, when: When) -> None:
    fault = Fault(kind=kind, method="PUT", when=when, skip=1, times=None)
    small_stage.world.apptoto.faults.add(fault)
    first = small_stage.sync("venue")
    assert first.code == 3
    small_stage.world.apptoto.faults.clear()
    second = small_stage.sync("venue")
    assert second.code == 0, second.document
    assert small_stage.held().keys() == wanted(small_stage, "ts-")
    small_stage.forget_requests()
    small_stage.sync("venue")
    assert small_stage.writes() == []


def test_one_poisoned_event_is_quarantined_and_the_others_go_through(small_stage: Stage) -> None:
    bad = max(wanted(small_stage, "ts-"))
    small_stage.world.apptoto.settings.poison = (bad,)
    said = small_stage.type("sync", "venue", "--json")
    (told,) = said.document["passes"]
    assert (said.code, told["outcome"], told["quarantined"]) == (1, "partial", 1)
    assert [problem["external_id"] for problem in told["problems"]] == [bad]
    assert small_stage.held().keys() == wanted(small_stage, "ts-") - {bad}
    small_stage.world.apptoto.settings.poison = ()
    small_stage.type("quarantine", "retry")
    assert small_stage.sync("venue").code == 0
    assert bad in small_stage.held()


def test_a_calendar_that_vanished_quarantines_nobody(small_stage: Stage) -> None:
    small_stage.sync()
    numbers = [int(external_id.removeprefix("ts-")) for external_id in small_stage.held() if external_id.startswith("ts-")]
    for number in numbers:
        small_stage.world.tripleseat.events.rename(number, f"Renamed {number}")
    calendars = small_stage.world.apptoto.events.calendars
    kept = dict(calendars)
    calendars.clear()
    passes = small_stage.sync("venue")
    assert (passes.code, passes.of("venue").quarantined) == (3, 0), passes.document
    calendars.update(kept)
    assert small_stage.sync("venue").code == 0
